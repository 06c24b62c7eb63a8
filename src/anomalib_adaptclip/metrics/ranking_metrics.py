# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Ranking metrics of raw scores on any scale, whose memory does not grow with the number of pixels.

torchmetrics, and so anomalib, applies a sigmoid to scores outside [0, 1], which makes large ones equal (PatchCore's are
distances), and keeps all pixels. Here scores are only compared with each other.

Letters: N distinct scores.
"""

import torch

from .target import average_precision

EXACT = 1 << 20  # largest number of distinct scores for which metrics are exact
GROUPS = 1 << 16  # largest number of ties into which more distinct scores are merged
FPR_LIMIT = 0.3  # AUPRO's usual limit of the false positive rate


class Ranking:
    """Computes ranking metrics from the number of normal and abnormal samples with each score.

    Up to ``EXACT`` distinct scores are kept. If there are more, neighbouring scores are merged into at most ``GROUPS``
    ties, which are so small that a metric changes by less than 1e-3.

    Attributes:
        values: Distinct scores ``(N,)``, ascending.
        weights: Weights of each score, ``(3, N)``: the number of normal samples, the number of abnormal samples, and
            the sum of the shares that these have in their regions.
        regions: Number of regions added.
    """

    def __init__(self) -> None:
        self.values = torch.empty(0)
        self.weights = torch.empty(3, 0, dtype=torch.float64)
        self.regions = 0
        self._pending: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._pending_size = 0

    def update(self, scores: torch.Tensor, labels: torch.Tensor, regions: torch.Tensor | None = None) -> None:
        """Add samples.

        Args:
            scores: Finite scores of any shape, on any scale.
            labels: Labels in the same shape, above 0.5 for abnormal.
            regions: Number of the connected abnormal region that each pixel belongs to, in the same shape, from 1, or 0
                for none. AUPRO needs them.

        Raises:
            ValueError: If scores are not finite, or there are more or fewer labels than scores.
        """
        scores, abnormal = scores.detach().flatten().float().cpu(), labels.detach().flatten().cpu() > 0.5
        if scores.shape != abnormal.shape or not scores.isfinite().all():
            msg = f"Scores must be finite, one for each label; got {len(scores)} scores for {len(abnormal)} labels."
            raise ValueError(msg)
        cover = torch.zeros(len(scores), dtype=torch.float64)
        if regions is not None:
            index = regions.flatten().long().cpu()
            sizes = index.bincount().double()
            cover = torch.where(index > 0, 1 / sizes[index], 0.0)
            self.regions += int((sizes[1:] > 0).sum())
        self._pending.append((scores, torch.stack([(~abnormal).double(), abnormal.double(), cover])))
        self._pending_size += len(scores)
        if self._pending_size > EXACT:
            self._merge()

    def counts(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Count what lies at or above each threshold: the points of a ROC and of a precision-recall curve.

        Returns:
            Distinct scores as thresholds, descending, and for each the number of false positives and of true positives,
            all ``(N,)``.
        """
        self._merge()
        false_positives, true_positives = (counts.flip(0).cumsum(0) for counts in self.weights[:2])
        return self.values.flip(0), false_positives, true_positives

    def scores(self) -> dict[str, float | None]:
        """Compute AUROC, AP, F1Max and AUPRO, in [0, 1].

        Returns:
            Metrics by name. All are None if there are no normal or no abnormal samples; AUPRO is None without regions.
        """
        _, false_positives, true_positives = self.counts()
        normal, abnormal, cover = self.weights
        if not (normal.sum() > 0 and abnormal.sum() > 0):
            return dict.fromkeys(("AUROC", "AP", "F1Max", "AUPRO"))
        false_positive_rate = false_positives / false_positives[-1]
        return {
            "AUROC": _area(false_positive_rate, true_positives / true_positives[-1]),
            "AP": average_precision(normal, abnormal),
            "F1Max": float((2 * true_positives / (true_positives + false_positives + true_positives[-1])).max()),
            "AUPRO": _area_to(FPR_LIMIT, false_positive_rate, cover.flip(0).cumsum(0) / self.regions)
            if self.regions
            else None,
        }

    def _merge(self) -> None:
        """Add the pending samples to the weights of the scores."""
        parts = [(self.values, self.weights), *self._pending]
        self._pending, self._pending_size = [], 0
        values, index = torch.cat([part[0] for part in parts]).unique(return_inverse=True)  # type: ignore[no-untyped-call]
        weights = _sum_by(index, torch.cat([part[1] for part in parts], 1), len(values))
        if len(values) > EXACT:
            values, weights = _coarsen(values, weights)
        self.values, self.weights = values, weights


def _coarsen(values: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Merge neighbouring scores into at most ``GROUPS`` ties.

    A tie holds a small share of each class, so that rare abnormal pixels keep their order. It also holds few samples in
    comparison with those of higher scores, because precision depends on that ratio.
    """
    share = (weights[:2] / weights[:2].sum(1, keepdim=True).clamp(min=1)).sum(0)
    below = (share.cumsum(0) - share) / share.sum()
    above = weights[:2].sum(0).flip(0).cumsum(0).flip(0).log()
    steps = [(part * (GROUPS // 2 - 1)).long() for part in (below, 1 - above / above[0].clamp(min=1))]
    group = (steps[0] + steps[1]).unique_consecutive(return_inverse=True)[1]  # type: ignore[no-untyped-call]
    last = torch.cat([group.diff() > 0, torch.tensor([True])])
    return values[last], _sum_by(group, weights, int(group[-1]) + 1)


def _sum_by(index: torch.Tensor, weights: torch.Tensor, size: int) -> torch.Tensor:
    return torch.zeros(len(weights), size, dtype=weights.dtype).index_add_(1, index, weights)


def _area(x: torch.Tensor, y: torch.Tensor) -> float:
    """Compute the area under a curve that starts at the origin."""
    origin = torch.zeros(1, dtype=x.dtype)
    return float(torch.trapezoid(torch.cat([origin, y]), torch.cat([origin, x])))


def _area_to(limit: float, x: torch.Tensor, y: torch.Tensor) -> float:
    """Compute the area under a curve from the origin to x = limit, divided by the limit."""
    inside = x <= limit
    after = int(inside.sum())  # index of the first point beyond the limit, which exists because x ends at 1
    x_before, y_before = (float(x[after - 1]), float(y[after - 1])) if after else (0.0, 0.0)
    slope = (float(y[after]) - y_before) / (float(x[after]) - x_before)
    end = torch.tensor([limit, y_before + slope * (limit - x_before)], dtype=x.dtype)
    return _area(torch.cat([x[inside], end[:1]]), torch.cat([y[inside], end[1:]])) / limit
