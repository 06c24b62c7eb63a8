# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How patches look: what the backbone learns to see, without any label.

Letters: B images, N pixels a side, P patch side in pixels, L patches, D width of the embedding.
"""

import math

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, conv2d, interpolate, max_pool2d, normalize, pad

ORIENTATIONS, OCTAVES, SIGMA = 6, 3, 1.5
SPREAD = 0.3  # of what is measured, beside the constant: small enough for cosines that do not saturate


class Look(nn.Module):
    """Embeds patches so that the cosine of two of them tells how alike they look.

    The strongest response of a patch to Gabor filters in six orientations and three octaves, and mean and deviation of
    its colours. Once standardised, these are joined by a constant and scaled to unit length: one minus the cosine then
    grows with the squared distance.

    Args:
        patch_size: Side of a patch in pixels.
        width: Embedding width D.
        seed: Of the rotation that spreads the description over all D axes.
    """

    mean: torch.Tensor
    scale: torch.Tensor
    square: torch.Tensor
    rotation: torch.Tensor
    filters: torch.Tensor

    def __init__(self, patch_size: int, width: int, seed: int = 0) -> None:
        super().__init__()
        self.patch_size = patch_size
        count = ORIENTATIONS * OCTAVES + 9
        generator = torch.Generator().manual_seed(seed)
        self.register_buffer("square", torch.linalg.qr(torch.randn(width, width, generator=generator)).Q)
        self.register_buffer("rotation", self.square[: count + 1])  # the other axes are free
        self.register_buffer("filters", _gabor_filters())
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))

    @torch.no_grad()
    def fit(self, images: torch.Tensor) -> None:
        """Standardise by these images ``(B, 3, N, N)`` in [0, 1], each group of measurements as a whole."""
        groups = [group.flatten(0, 1) for group in self._describe(images)]
        self.mean = torch.cat([group.mean(dim=0) for group in groups])
        lengths = [group.var(dim=0).sum().sqrt().expand(group.shape[-1]) for group in groups]
        self.scale = SPREAD / len(groups) ** 0.5 / torch.cat(lengths)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors ``(B, L, D)`` of the patches of images ``(B, 3, N, N)`` in [0, 1]."""
        return self.describe(images) @ self.rotation

    def describe(self, images: torch.Tensor, constant: float = 1.0) -> torch.Tensor:
        """The same along their own axes, ``(B, L, ...)``, with a constant of this length."""
        described = (torch.cat(self._describe(images), dim=-1) - self.mean) * self.scale
        return normalize(torch.cat([described, torch.full_like(described[..., :1], constant)], dim=-1), dim=-1)

    def subspace(self, tokens: torch.Tensor) -> torch.Tensor:
        """The part of tokens ``(..., D)`` that lies where the embeddings do."""
        return tokens @ self.rotation.T @ self.rotation

    def _describe(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Measurements ``(B, L, ...)``: strongest edges, and colours."""
        side = self.patch_size
        strongest = max_pool2d(self._energy(images.mean(dim=1, keepdim=True)), side)
        mean, square = self._around(images), self._around(images**2)
        colours = torch.cat([avg_pool2d(images, side), mean, (square - mean**2).clamp(min=0).sqrt()], dim=1)
        return [maps.flatten(2).mT for maps in (strongest, colours)]

    def _around(self, maps: torch.Tensor) -> torch.Tensor:
        """Means over squares of twice the patch around each patch."""
        side = self.patch_size
        return avg_pool2d(maps, 2 * side, side, side // 2, count_include_pad=False)

    def _energy(self, grey: torch.Tensor) -> torch.Tensor:
        """Amplitudes of the Gabor responses ``(B, octaves * orientations, N, N)`` of ``(B, 1, N, N)``."""
        size, reach = grey.shape[-1], self.filters.shape[-1] // 2
        octaves = []
        for _ in range(OCTAVES):
            responses = conv2d(pad(grey, (reach,) * 4, mode="reflect"), self.filters)
            even, odd = responses.chunk(2, dim=1)
            amplitude = (even**2 + odd**2).sqrt()
            octaves.append(interpolate(amplitude, size=(size, size), mode="bilinear", align_corners=False))
            grey = avg_pool2d(grey, 2)
        return torch.cat(octaves, dim=1)


def _gabor_filters() -> torch.Tensor:
    """Even filters of all orientations, then the odd ones, none with a response to a constant: ``(2 * O, 1, R, R)``."""
    reach = round(3 * SIGMA)
    axis = torch.arange(-reach, reach + 1.0)
    window = torch.exp(-(axis[:, None] ** 2 + axis**2) / (2 * SIGMA**2))
    filters = []
    for phase in (0.0, math.pi / 2):
        for number in range(ORIENTATIONS):
            angle = math.pi * number / ORIENTATIONS
            along = axis * math.cos(angle) + axis[:, None] * math.sin(angle)
            wave = window * torch.cos(2 * math.pi * along / (3 * SIGMA) - phase)
            wave = wave - window * wave.sum() / window.sum()
            filters.append(wave / wave.abs().sum())
    return torch.stack(filters)[:, None]
