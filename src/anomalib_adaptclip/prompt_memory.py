# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The few-shot memory: tokens of normal images.

Letters: B batch, K normal prompt images (shots), S tapped blocks, L patches, D joint embedding width.
"""

from collections.abc import Sequence

import torch
from anomalib.models.components import DynamicBufferMixin
from torch import nn

from .adapters import Alignment, align, normalized_patches


class PromptMemory(DynamicBufferMixin, nn.Module):
    """Hold the normal tokens in one buffer ``(S, K, L, D)``, so that they travel with checkpoints and devices.

    An empty memory has K = 0. Loading a state takes over its number of shots.
    """

    tokens: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("tokens", torch.empty(0, 0, 0, 0))

    @property
    def k_shot(self) -> int:
        """Number of normal images in memory."""
        return self.tokens.shape[1]

    def store(self, taps: Sequence[torch.Tensor]) -> None:
        """Remember K images by their tokens ``(K, 1 + L, D)``, one tensor a tap; what was there is forgotten."""
        self.tokens = torch.stack([normalized_patches(tokens) for tokens in taps])

    def clear(self) -> None:
        """Forget all prompts."""
        self.tokens = self.tokens.new_empty(0, 0, 0, 0)

    def align(self, taps: Sequence[torch.Tensor]) -> list[Alignment]:
        """Align query tokens ``(B, 1 + L, D)``, one tensor a tap, with the memory."""
        return [
            align(normalized_patches(query), prompt.flatten(0, 1))
            for query, prompt in zip(taps, self.tokens, strict=True)
        ]
