# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From patches to pixels: upsampling and Gaussian smoothing of anomaly maps."""

import torch
from torch.nn.functional import conv2d, interpolate

SIGMA = 4.0  # pixels
RADIUS = 16  # pixels, four sigma
STRIP = 1024  # pixels


def upsample(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Resize ``(B, C, h, w)`` maps to ``size`` bilinearly, ``align_corners=False``."""
    return interpolate(maps, size=size, mode="bilinear", align_corners=False)


def smooth(maps: torch.Tensor) -> torch.Tensor:
    """Smooth maps with a Gaussian of sigma 4 px and radius 16 px, the border mirrored including the edge pixel.

    That is SciPy's ``gaussian_filter``. Blurs that mirror without the edge pixel differ by up to 0.02 at the border.

    Args:
        maps: ``(B, 1, H, W)``.

    Returns:
        ``(B, 1, H, W)`` in the same value range.
    """
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    height, width = maps.shape[-2:]
    maps = maps.index_select(-2, mirrored_indices(height, maps.device))
    maps = _in_strips(maps, kernel.view(1, 1, -1, 1), axis=-1)
    maps = maps.index_select(-1, mirrored_indices(width, maps.device))
    return _in_strips(maps, kernel.view(1, 1, 1, -1), axis=-2)


def _in_strips(maps: torch.Tensor, kernel: torch.Tensor, axis: int) -> torch.Tensor:
    """Convolve large maps strip by strip, across the kernel: a convolution takes ten times the memory of its map."""
    if torch.compiler.is_compiling() or maps.shape[axis] <= STRIP:
        return conv2d(maps, kernel)
    return torch.cat([conv2d(strip, kernel) for strip in torch.split(maps, STRIP, dim=axis)], dim=axis)


def mirrored_indices(length: int, device: torch.device, radius: int = RADIUS) -> torch.Tensor:
    """Indices ``(length + 2 * radius,)`` that mirror an axis at both ends, edge included: 1 0 | 0 1 2 | 2 1."""
    indices = torch.arange(-radius, length + radius, device=device) % (2 * length)
    return torch.where(indices < length, indices, 2 * length - 1 - indices)
