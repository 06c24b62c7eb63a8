# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The output of an adapter for a batch of images."""

from typing import NamedTuple

import torch


class AdapterOutput(NamedTuple):
    """The output of an adapter, in the form that its losses take: float32, whatever the precision of CLIP.

    Letters: B batch, h and w cells of the adapter's own grid.

    Attributes:
        logits: Logits of the image being normal and abnormal, ``(B, 2)``.
        patch_probabilities: Probability that a cell is abnormal, ``(B, 1, h, w)``; that of normal is one minus it.
    """

    logits: torch.Tensor
    patch_probabilities: torch.Tensor

    @property
    def score(self) -> torch.Tensor:
        """Probability that the image is abnormal, ``(B,)``."""
        return self.logits.softmax(dim=-1)[:, 1]
