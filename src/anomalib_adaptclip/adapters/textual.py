# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The textual adapter: two prompts learned in the text tower's input space."""

import torch
from torch import nn

from anomalib_adaptclip.clip import TextTower, encode_contexts


class TextualAdapter(nn.Module):
    """Learnable context vectors for "normal" and "abnormal" (eq. 4 of the paper).

    Args:
        length: Context vectors r of each prompt.
        width: Width W of the text tower.
    """

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.contexts = nn.Parameter(torch.empty(2, length, width).normal_(std=0.02))  # normal first

    def forward(self, tower: TextTower) -> torch.Tensor:
        """Embed the learned pair with a text tower: ``(2, D)``, normal first, not normalised."""
        return encode_contexts(tower, self.contexts)
