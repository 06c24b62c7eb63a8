# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The visual adapter: CLIP's image tokens moved to fit the static texts."""

import torch
from torch import nn

from .residual_mlp import ResidualMLP


class VisualAdapter(nn.Module):
    """Adapt the global token and the patch tokens of the last layer (eq. 3 of the paper).

    Letters: B batch, L patches, T = 1 + L tokens, D joint embedding width.

    Args:
        width: Joint embedding width D.
        reduction: Bottleneck of the residual MLPs.
    """

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.global_mlp = ResidualMLP(width, reduction)
        self.local_mlp = ResidualMLP(width, reduction)

    def forward(self, global_token: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Adapt both kinds of tokens.

        Args:
            global_token: ``(B, D)``.
            tokens: ``(B, T, D)``. The class position goes through the batch norm with the rest.

        Returns:
            Global token ``(B, D)`` and patch tokens ``(B, L, D)``.
        """
        return self.global_mlp(global_token), self.local_mlp(tokens)[:, 1:]
