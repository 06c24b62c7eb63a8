# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The prompt-query adapter: learned comparison of a query with its nearest normal patches.

Letters: B batch, L patches, D joint embedding width.
"""

from collections.abc import Sequence

import torch
from torch import nn

from .alignment import Alignment
from .output import AdapterOutput


class PromptQueryAdapter(nn.Module):
    """Segment and classify the joint feature of context and aligned residual (eqs. 6 to 8 of the paper).

    Each layer has a batch norm of its own. The two heads are shared by all layers and applied layer after layer.

    Args:
        width: Joint embedding width D.
        num_layers: Number of layers.
        hidden_dim: Features in the heads.
        context: Add the query itself to the residual.
        topk: The image feature is the mean of all positions averaged with that of the ``topk`` largest, by channel.
            The paper's eq. 8 has 1.
    """

    def __init__(self, width: int, num_layers: int, hidden_dim: int, *, context: bool, topk: int) -> None:
        super().__init__()
        self.width = width
        self.context = context
        self.topk = topk
        self.norms = nn.ModuleList([nn.BatchNorm2d(width) for _ in range(num_layers)])
        self.segmentation_head = nn.Sequential(
            nn.Conv2d(width, hidden_dim, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(hidden_dim),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden_dim, hidden_dim, kernel_size=2, stride=2),
            nn.Conv2d(hidden_dim, hidden_dim // 2, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(hidden_dim // 2),
            nn.ReLU(),
            nn.ConvTranspose2d(hidden_dim // 2, hidden_dim // 2, kernel_size=2, stride=2),
            nn.Conv2d(hidden_dim // 2, 2, kernel_size=1),
        )
        self.image_head = nn.Sequential(
            nn.Linear(width, hidden_dim, bias=False),
            nn.BatchNorm1d(hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim // 2, bias=False),
            nn.BatchNorm1d(hidden_dim // 2),
            nn.ReLU(),
            nn.Linear(hidden_dim // 2, 2, bias=False),
        )

    def forward(
        self, alignments: Sequence[Alignment], grid: tuple[int, int], judged: torch.Tensor | None = None
    ) -> list[AdapterOutput]:
        """Judge a batch by its alignments.

        Args:
            alignments: One a layer.
            grid: Rows and columns, ``L = rows * columns``.
            judged: Which patches count ``(B, L)``, all by default. Others are as normal as can be, without a residual.

        Returns:
            One output a layer, with maps ``(B, 1, 4 * rows, 4 * columns)``.
        """
        features = (self.joint_feature(alignment, judged).mT for alignment in alignments)  # (B, D, L)
        return [
            self._predict_features(norm(feature.reshape(-1, self.width, *grid)), judged)
            for norm, feature in zip(self.norms, features, strict=True)
        ]

    def joint_feature(self, alignment: Alignment, judged: torch.Tensor | None = None) -> torch.Tensor:
        """Eq. 6: ``query + |query - aligned|``, or the residual alone; ``(B, L, D)``."""
        residual = (alignment.query - alignment.aligned).abs()
        if judged is not None:
            residual = residual * judged.unsqueeze(-1)
        return alignment.query + residual if self.context else residual

    def pool(self, feature: torch.Tensor, judged: torch.Tensor | None = None) -> torch.Tensor:
        """Eq. 8's pooling of a ``(B, D, rows, columns)`` feature, of the patches that count: ``(B, D)``."""
        positions = feature.flatten(2)  # (B, D, L)
        count = min(self.topk, positions.shape[-1])
        if judged is None:
            return (positions.mean(dim=-1) + positions.topk(count, dim=-1).values.mean(dim=-1)) / 2
        judged = judged.unsqueeze(1)  # (B, 1, L)
        top = positions.masked_fill(~judged, -torch.inf).topk(count, dim=-1).values
        return (_mean(positions, judged) + _mean(top, top.isfinite())) / 2

    def _predict_features(self, feature: torch.Tensor, judged: torch.Tensor | None) -> AdapterOutput:
        logits, cells = self.image_head(self.pool(feature, judged)), self.segmentation_head(feature)
        return AdapterOutput(logits.float(), cells.float().softmax(dim=1)[:, 1:])


def _mean(values: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Mean over the last axis of those values that count; 0 where none does."""
    return values.where(counts, 0.0).sum(dim=-1) / counts.sum(dim=-1).clamp(min=1)
