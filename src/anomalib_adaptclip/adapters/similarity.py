# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Cosines: image tokens against a pair of texts, query patches against normal patches.

Letters: B batch, L patches, N prompt patches, D joint embedding width.
"""

from typing import NamedTuple

import torch
from torch.nn.functional import normalize

from .opinion import Opinion

TEMPERATURE = 0.07  # CLIP's, as WinCLIP uses it


def text_logits(tokens: torch.Tensor, pair: torch.Tensor) -> torch.Tensor:
    """Cosines of tokens with the two texts over the temperature 0.07: softmax gives eqs. 1 and 2 of the paper.

    Args:
        tokens: ``(..., D)``, of any length but 0.
        pair: ``(2, D)``, normal first.

    Returns:
        ``(..., 2)``, normal first.
    """
    return normalize(tokens, dim=-1) @ normalize(pair, dim=-1).T / TEMPERATURE


def compare_with_text(
    global_token: torch.Tensor, patch_tokens: torch.Tensor, pair: torch.Tensor, grid: tuple[int, int]
) -> Opinion:
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
    return Opinion(text_logits(global_token, pair), abnormal.view(-1, 1, *grid))


class Alignment(NamedTuple):
    """Query patches beside their nearest normal patches, for one tap.

    Attributes:
        query: L2-normalised query tokens ``(B, L, D)``.
        aligned: For each of them the prompt token of highest cosine ``(B, L, D)``.
        score: One minus that cosine, ``(B, L)``, from 0 to 2: how unlike anything normal.
    """

    query: torch.Tensor
    aligned: torch.Tensor
    score: torch.Tensor


def normalized_patches(tokens: torch.Tensor) -> torch.Tensor:
    """Drop the class position of ``(B, 1 + L, D)`` tokens and scale the rest to unit length: ``(B, L, D)``."""
    return normalize(tokens[:, 1:], dim=-1)


def align(query: torch.Tensor, prompt: torch.Tensor) -> Alignment:
    """Find for each query patch the most similar prompt patch.

    Eq. 5 of the paper: for unit vectors the smallest distance is the highest cosine.

    Args:
        query: L2-normalised ``(B, L, D)``.
        prompt: L2-normalised ``(N, D)`` for all queries alike, or ``(B, N, D)`` with a row for each query.

    Returns:
        The alignment of the batch.
    """
    cosine, nearest = (query @ prompt.mT).max(dim=-1)  # (B, L)
    if prompt.ndim == 2:
        aligned = prompt[nearest]
    else:
        aligned = prompt.gather(1, nearest.unsqueeze(-1).expand(-1, -1, prompt.shape[-1]))
    return Alignment(query, aligned, (1 - cosine).clamp(min=0))
