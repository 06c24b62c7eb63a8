# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of a data set of many categories, in memory that does not grow with its pixels.

Letters: B batch, H and W pixels, C categories.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc
from torchmetrics.utilities import dim_zero_cat

BINS = 1 << 14


class TargetScores(NamedTuple):
    """Means over the categories for which a metric is defined.

    Attributes:
        image_auroc: AUROC of the image scores, in [0, 1], ``None`` if no category has both classes.
        pixel_aupr: AUPR (average precision) of the maps, in [0, 1], ``None`` if no category has abnormal pixels.
    """

    image_auroc: float | None
    pixel_aupr: float | None


class TargetMetric(Metric):
    """Image AUROC and pixel AUPR of each category, averaged, as the field reports a data set.

    Image scores are kept. Pixels are counted in bins that are finer towards 0, where the values of maps lie: AUPR is
    within 1e-3 of the exact one. Processes add up their counts, so that metrics are those of the whole set.

    Args:
        categories: Names of the categories.
    """

    full_state_update = False
    scores: list[torch.Tensor]
    labels: list[torch.Tensor]
    members: list[torch.Tensor]
    pixels: torch.Tensor

    def __init__(self, categories: Sequence[str]) -> None:
        super().__init__()
        self.index = {category: index for index, category in enumerate(categories)}
        for name in ("scores", "labels", "members"):
            self.add_state(name, [], dist_reduce_fx="cat")
        self.add_state("pixels", torch.zeros(len(self.index), 2, BINS, dtype=torch.int64), dist_reduce_fx="sum")

    def update(
        self,
        categories: Sequence[str],
        scores: torch.Tensor,
        labels: torch.Tensor,
        maps: torch.Tensor,
        masks: torch.Tensor | None,
    ) -> None:
        """Add a batch.

        Args:
            categories: Category of each image, B names.
            scores: ``(B,)`` in [0, 1].
            labels: ``(B,)``, 1 for abnormal.
            maps: ``(B, 1, H, W)`` in [0, 1].
            masks: ``(B, H, W)``, 1 for abnormal; ``None`` if there are none.
        """
        members = torch.tensor([self.index[category] for category in categories], device=scores.device)
        self.scores.append(scores.float())
        self.labels.append(labels.long())
        self.members.append(members)
        if masks is not None:
            for member, anomaly_map, mask in zip(members, maps, masks, strict=True):
                self.pixels[member] += count_pixels(anomaly_map, mask)

    def compute(self) -> TargetScores:
        """Both metrics over all that was added."""
        scores, labels, members = map(dim_zero_cat, (self.scores, self.labels, self.members))
        aurocs = []
        for member in range(len(self.index)):
            own = labels[members == member]
            if 0 < own.sum() < len(own):
                aurocs.append(binary_auroc(scores[members == member], own).item())
        auprs = [average_precision(*counts) for counts in self.pixels if counts[1].any()]
        return TargetScores(_mean(aurocs), _mean(auprs))


def count_pixels(anomaly_map: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Count normal and abnormal pixels by the value of the map.

    Args:
        anomaly_map: ``(1, H, W)`` in [0, 1].
        mask: ``(H, W)``, 1 for abnormal.

    Returns:
        ``(2, BINS)`` counts, normal first.
    """
    bins = (anomaly_map.float().clamp(0, 1).sqrt() * (BINS - 1)).long().flatten()
    classes = (mask.flatten() > 0.5).long()
    return torch.bincount(classes * BINS + bins, minlength=2 * BINS).view(2, BINS)


def average_precision(normal: torch.Tensor, abnormal: torch.Tensor) -> float:
    """Area under the precision-recall curve, as the sum of precisions weighted by the steps of recall.

    Args:
        normal: Counts of normal pixels by ascending value ``(BINS,)``.
        abnormal: Counts of abnormal pixels, at least one.

    Returns:
        Average precision in [0, 1].
    """
    hits = abnormal.flip(0).double()
    found, alarms = hits.cumsum(0), normal.flip(0).double().cumsum(0)
    precision = found / (found + alarms).clamp(min=1)
    return float((precision * hits).sum() / found[-1])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
