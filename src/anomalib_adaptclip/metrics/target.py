# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of a data set with many categories, whose memory does not grow with the number of pixels.

Letters: B batch, H and W pixels, C categories.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torchmetrics import Metric
from torchmetrics.functional.classification import binary_auroc
from torchmetrics.utilities import dim_zero_cat

BINS = 1 << 14  # number of bins in which pixels are counted


class TargetScores(NamedTuple):
    """Metrics averaged over the categories for which they are defined.

    Attributes:
        image_auroc: AUROC of the image scores, in [0, 1], or ``None`` if no category has both classes.
        pixel_aupr: AUPR (average precision) of the maps, in [0, 1], or ``None`` if no category has abnormal pixels.
    """

    image_auroc: float | None
    pixel_aupr: float | None


class TargetMetric(Metric):
    """Computes image AUROC and pixel AUPR of each category and averages them, as is usual for these data sets.

    Image scores are kept. Pixels are counted in bins that are finer towards 0, where most values of maps are, so that
    AUPR differs from the exact one by less than 1e-3. Several processes add up their counts, so that the metrics are
    those of the whole data set.

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
            scores: Image scores ``(B,)`` in [0, 1].
            labels: Image labels ``(B,)``, 1 for abnormal.
            maps: Anomaly maps ``(B, 1, H, W)`` in [0, 1].
            masks: Masks ``(B, H, W)``, 1 for abnormal pixels, or ``None`` if there are none.
        """
        members = torch.tensor([self.index[category] for category in categories], device=scores.device)
        self.scores.append(scores.float())
        self.labels.append(labels.long())
        self.members.append(members)
        if masks is not None:
            for member, anomaly_map, mask in zip(members, maps, masks, strict=True):
                self.pixels[member] += count_pixels(anomaly_map, mask)

    def compute(self) -> TargetScores:
        """Compute both metrics from all batches added."""
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
        anomaly_map: Anomaly map ``(1, H, W)`` in [0, 1].
        mask: Mask ``(H, W)``, 1 for abnormal pixels.

    Returns:
        Numbers of pixels ``(2, BINS)``, normal first, by ascending value.
    """
    bins = (anomaly_map.float().clamp(0, 1).sqrt() * (BINS - 1)).long().flatten()
    classes = (mask.flatten() > 0.5).long()
    return torch.bincount(classes * BINS + bins, minlength=2 * BINS).view(2, BINS)


def average_precision(normal: torch.Tensor, abnormal: torch.Tensor) -> float:
    """Compute the area under the precision-recall curve: the sum of precisions, weighted by the steps of recall.

    Args:
        normal: Numbers of normal samples by ascending value, in one dimension.
        abnormal: Numbers of abnormal samples in the same shape, with at least one sample.

    Returns:
        Average precision in [0, 1].
    """
    positives = abnormal.flip(0).double()
    true_positives, false_positives = positives.cumsum(0), normal.flip(0).double().cumsum(0)
    precision = true_positives / (true_positives + false_positives).clamp(min=1)
    return float((precision * positives).sum() / true_positives[-1])


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
