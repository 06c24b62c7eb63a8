# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Metrics of raw scores, of any scale, in memory that does not grow with the number of pixels.

torchmetrics, and anomalib's metrics with it, put scores outside [0, 1] through a sigmoid, which ties the larger ones
(PatchCore's are distances), and keep all pixels. Here scores are only compared with each other.

Letters: N distinct scores.
"""

import torch

from .target import average_precision

EXACT = 1 << 20  # distinct scores up to which metrics are exact
GROUPS = 1 << 16  # to which more are merged
FPR_LIMIT = 0.3  # of AUPRO, as everywhere


class Ranking:
    """How many normal and abnormal samples have which score.

    Up to ``EXACT`` distinct scores are kept. When there are more, neighbours are merged into ``GROUPS`` ties at most,
    so small that a metric moves by less than 1e-3.

    Attributes:
        values: Scores ``(N,)``, ascending.
        weights: What each score stands for, ``(3, N)``: normal samples, abnormal samples, and the share of regions that
            it covers.
        regions: Regions added.
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
            scores: Finite, of any shape and scale.
            labels: Labels in the same shape, above 0.5 for abnormal.
            regions: In the same shape, which region of abnormal pixels each sample belongs to, from 1; 0 for none.

        Raises:
            ValueError: If scores are not finite, or shapes differ.
        """
        scores, abnormal = scores.detach().flatten().float().cpu(), labels.detach().flatten().cpu() > 0.5
        if scores.shape != abnormal.shape or not scores.isfinite().all():
            msg = f"Scores must be finite, one a label; got {len(scores)} scores for {len(abnormal)} labels."
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

    def scores(self) -> dict[str, float | None]:
        """AUROC, AP, F1Max and AUPRO in [0, 1]; None where a class is missing, or for AUPRO regions are."""
        self._merge()
        normal, abnormal, cover = self.weights
        if not (normal.sum() > 0 and abnormal.sum() > 0):
            return dict.fromkeys(("AUROC", "AP", "F1Max", "AUPRO"))
        alarms, hits = (counts.flip(0).cumsum(0) for counts in (normal, abnormal))
        return {
            "AUROC": _area(alarms / alarms[-1], hits / hits[-1]),
            "AP": average_precision(normal, abnormal),
            "F1Max": float((2 * hits / (hits + alarms + hits[-1])).max()),
            "AUPRO": _area_to(FPR_LIMIT, alarms / alarms[-1], cover.flip(0).cumsum(0) / self.regions)
            if self.regions
            else None,
        }

    def _merge(self) -> None:
        """Take what is pending into the counts."""
        parts = [(self.values, self.weights), *self._pending]
        self._pending, self._pending_size = [], 0
        values, index = torch.cat([part[0] for part in parts]).unique(return_inverse=True)  # type: ignore[no-untyped-call]
        weights = _sum_by(index, torch.cat([part[1] for part in parts], 1), len(values))
        if len(values) > EXACT:
            values, weights = _coarsen(values, weights)
        self.values, self.weights = values, weights


def _coarsen(values: torch.Tensor, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Merge neighbours into at most ``GROUPS`` ties.

    A tie holds a small share of either class, so that rare abnormal pixels keep their order, and few samples as
    compared with those above it, on which precision depends.
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
    """Area under a curve from the origin."""
    origin = torch.zeros(1, dtype=x.dtype)
    return float(torch.trapezoid(torch.cat([origin, y]), torch.cat([origin, x])))


def _area_to(limit: float, x: torch.Tensor, y: torch.Tensor) -> float:
    """Area under a curve from the origin to x = limit, as a share of the limit."""
    inside = x <= limit
    after = int(inside.sum())  # the first point beyond, which there is: x ends at 1
    x_before, y_before = (float(x[after - 1]), float(y[after - 1])) if after else (0.0, 0.0)
    slope = (float(y[after]) - y_before) / (float(x[after]) - x_before)
    end = torch.tensor([limit, y_before + slope * (limit - x_before)], dtype=x.dtype)
    return _area(torch.cat([x[inside], end[:1]]), torch.cat([y[inside], end[1:]])) / limit
