# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The residual MLP of eq. 3 of the paper."""

import torch
from torch import nn


class ResidualMLP(nn.Module):
    """``x + Linear(ReLU(BatchNorm(Linear(x))))`` with a bottleneck, both linear layers without bias.

    Args:
        width: Features D in and out.
        reduction: The bottleneck has ``width // reduction`` features.
    """

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(width, width // reduction, bias=False),
            nn.BatchNorm1d(width // reduction),
            nn.ReLU(),
            nn.Linear(width // reduction, width, bias=False),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Adapt ``(..., D)``: every row is one sample to the batch norm."""
        change: torch.Tensor = self.layers(x.flatten(0, -2))
        return x + change.view_as(x)
