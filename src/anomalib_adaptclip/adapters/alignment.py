# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Alignment: for each query patch the nearest normal patch (eq. 5 of the paper).

Letters: B batch, L patches, N prompt patches, D joint embedding width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import normalize

CHUNK = 2048  # prompt patches: the cosines of 8 images at 518 px with these fill 90 MB


class Window(NamedTuple):
    """Where the nearest patch is searched: among those of about the same place, as of parts that lie in a fixture.

    Attributes:
        query: Row and column of each query patch in its image, ``(B, L, 2)``.
        prompt: Row and column of each prompt patch, ``(N, 2)``.
        reach: Rows and columns of patches that they may lie apart at most.
    """

    query: torch.Tensor
    prompt: torch.Tensor
    reach: int

    def excludes(self, prompts: slice) -> torch.Tensor:
        """Which prompt patches out of a slice of n are too far from each query patch: ``(B, L, n)``."""
        near = self.prompt[prompts]
        rows, columns = ((self.query[..., axis : axis + 1] - near[:, axis]).abs() for axis in (0, 1))
        return torch.maximum(rows, columns) > self.reach


class Alignment(NamedTuple):
    """Query patches and their nearest normal patches, for one layer.

    Attributes:
        query: L2-normalised query tokens ``(B, L, D)``.
        prompt: L2-normalised prompt tokens ``(N, D)`` for all queries alike, or ``(B, N, D)``.
        nearest: For each query patch the index of the prompt patch of highest cosine, ``(B, L)``.
        score: One minus that cosine, ``(B, L)``, from 0 to 2, float32 at least: how unlike anything normal.
    """

    query: torch.Tensor
    prompt: torch.Tensor
    nearest: torch.Tensor
    score: torch.Tensor

    @property
    def aligned(self) -> torch.Tensor:
        """The nearest prompt tokens themselves, ``(B, L, D)``. They are not kept, for they are large."""
        return take_patches(self.prompt, self.nearest).to(self.query.dtype)


def normalized_patches(tokens: torch.Tensor) -> torch.Tensor:
    """Drop the class position of ``(B, 1 + L, D)`` tokens and scale the rest to unit length: ``(B, L, D)``."""
    return normalize(tokens[:, 1:], dim=-1)


def align(query: torch.Tensor, prompt: torch.Tensor, chunk: int = CHUNK, window: Window | None = None) -> Alignment:
    """Find for each query patch the most similar prompt patch.

    Eq. 5 of the paper: for unit vectors the smallest distance is the highest cosine.

    Args:
        query: L2-normalised ``(B, L, D)``.
        prompt: L2-normalised ``(N, D)`` for all queries alike, or ``(B, N, D)`` with a row for each query. It may be of
            lower precision than the query.
        chunk: Prompt patches to compare at a time. It bounds the memory and changes no result.
        window: Where to search; everywhere by default.

    Returns:
        The alignment of the batch.
    """
    nearest = nearest_patches(query, prompt, chunk, window)
    # 1 - cos is half the squared distance: no cancellation, and how the search was cut leaves no trace
    precise = torch.promote_types(query.dtype, torch.float32)
    difference = query.to(precise) - take_patches(prompt, nearest).to(precise)
    return Alignment(query, prompt, nearest, difference.square().sum(dim=-1) / 2)


def align_pairs(queries: Sequence[torch.Tensor], prompts: Sequence[torch.Tensor]) -> list[Alignment]:
    """Align queries with a prompt each.

    Args:
        queries: Tokens ``(B, 1 + L, D)`` of the queries, one tensor for each layer.
        prompts: Tokens of their prompts, likewise.

    Returns:
        One alignment for each layer.
    """
    pairs = zip(queries, prompts, strict=True)
    return [align(normalized_patches(query), normalized_patches(prompt)) for query, prompt in pairs]


@torch.no_grad()
def nearest_patches(
    query: torch.Tensor, prompt: torch.Tensor, chunk: int, window: Window | None = None
) -> torch.Tensor:
    """Index of the prompt patch of highest cosine, the first among equals.

    Args:
        query: ``(B, L, D)``.
        prompt: ``(N, D)`` or ``(B, N, D)``.
        chunk: Prompt patches to compare at a time.
        window: Where to search; everywhere by default.

    Returns:
        Indices ``(B, L)``.
    """

    def _best(block: torch.Tensor, start: int) -> tuple[torch.Tensor, torch.Tensor]:
        cosines = query @ block.to(query.dtype).mT  # (B, L, chunk)
        if window is not None:
            cosines = cosines.masked_fill(window.excludes(slice(start, start + chunk)), -torch.inf)
        cosine, nearest = cosines.max(dim=-1)
        return cosine, nearest

    first, *others = torch.split(prompt, chunk, dim=-2)
    cosine, nearest = _best(first, 0)  # (B, L)
    for number, block in enumerate(others, start=1):
        other, index = _best(block, number * chunk)
        better = other > cosine
        cosine = torch.where(better, other, cosine)
        nearest = torch.where(better, index + number * chunk, nearest)
    return nearest


def take_patches(prompt: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Rows ``(B, L, D)`` of ``(N, D)`` or ``(B, N, D)`` patches by their indices ``(B, L)``."""
    if prompt.ndim == 2:
        return prompt.index_select(0, indices.flatten()).view(*indices.shape, -1)
    return prompt.gather(1, indices.unsqueeze(-1).expand(-1, -1, prompt.shape[-1]))
