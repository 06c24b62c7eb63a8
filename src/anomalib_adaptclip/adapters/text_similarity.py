# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Comparison of image tokens with a pair of texts, normal and abnormal (eqs. 1 and 2 of the paper).

Letters: B batch, L patches, D joint embedding width.
"""

import torch
from torch.nn.functional import normalize

from .output import AdapterOutput

TEMPERATURE = 0.07  # CLIP's, as WinCLIP uses it


def text_logits(tokens: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Cosines of tokens with the two texts over the temperature 0.07: softmax gives eqs. 1 and 2 of the paper.

    Args:
        tokens: ``(..., D)``, of any length but 0.
        pair: ``(2, D)``, normal first.

    Returns:
        ``(..., 2)``, normal first, float32.
    """
    cosines = normalize(tokens.float(), dim=-1) @ normalize(pair.float(), dim=-1).T
    return cosines.float() / TEMPERATURE


def compare_with_text(
    global_token: torch.Tensor, patch_tokens: torch.Tensor, pair: torch.Tensor, grid: tuple[int, int]
) -> AdapterOutput:
    """Judge images and their patches by a pair of texts.

    Args:
        global_token: ``(B, D)``.
        patch_tokens: ``(B, L, D)`` without class position, row after row of the grid.
        pair: ``(2, D)``, normal first.
        grid: Rows and columns, ``L = rows * columns``.

    Returns:
        Logits ``(B, 2)`` and map ``(B, 1, rows, columns)``.
    """
    abnormal = text_logits(patch_tokens, pair).softmax(dim=-1)[..., 1]  # (B, L)
    return AdapterOutput(text_logits(global_token, pair), abnormal.view(-1, 1, *grid))
