# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From patches to pixels: upsampling and Gaussian smoothing of anomaly maps."""

import torch
from torch.nn.functional import conv2d, interpolate

from .tiling import Inside

SIGMA = 4.0  # pixels
RADIUS = 16  # pixels, four sigma
STRIP = 1024  # pixels


def upsample(maps: torch.Tensor, size: tuple[int, int], inside: Inside | None = None) -> torch.Tensor:
    """Resize maps bilinearly, ``align_corners=False``.

    Args:
        maps: ``(B, C, h, w)``.
        size: Height H and width W to resize to.
        inside: What counts, all by default. Patches that do not are left out of all means.

    Returns:
        ``(B, C, H, W)``, 0 outside.
    """
    if inside is None:
        return interpolate(maps, size=size, mode="bilinear", align_corners=False)
    cells = interpolate(inside.patches.to(maps)[None, None], size=maps.shape[-2:])  # several for a patch
    return _share(upsample(maps * cells, size), upsample(cells, size), inside.pixels)


def smooth(maps: torch.Tensor, inside: Inside | None = None) -> torch.Tensor:
    """Smooth maps with a Gaussian of sigma 4 px and radius 16 px, the border mirrored including the edge pixel.

    That is SciPy's ``gaussian_filter``. Blurs that mirror without the edge pixel differ by up to 0.02 at the border.

    Args:
        maps: ``(B, 1, H, W)``.
        inside: Which pixels count, all by default; only they are averaged.

    Returns:
        ``(B, 1, H, W)`` in the same value range, 0 outside.
    """
    if inside is not None:
        weights = inside.pixels.to(maps)[None, None]
        return _share(smooth(maps * weights), smooth(weights), inside.pixels)
    offsets = torch.arange(-RADIUS, RADIUS + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    kernel = kernel / kernel.sum()
    height, width = maps.shape[-2:]
    maps = maps.index_select(-2, mirrored_indices(height, maps.device))
    maps = _in_strips(maps, kernel.view(1, 1, -1, 1), axis=-1)
    maps = maps.index_select(-1, mirrored_indices(width, maps.device))
    return _in_strips(maps, kernel.view(1, 1, 1, -1), axis=-2)


def _share(values: torch.Tensor, weights: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """Weighted sums ``(B, C, H, W)`` over sums of weights ``(1, 1, H, W)``; 0 but for the pixels that count."""
    return (values / weights).where(pixels, 0.0)


def _in_strips(maps: torch.Tensor, kernel: torch.Tensor, axis: int) -> torch.Tensor:
    """Convolve large maps strip by strip, across the kernel: a convolution takes ten times the memory of its map."""
    if torch.compiler.is_compiling() or maps.shape[axis] <= STRIP:
        return conv2d(maps, kernel)
    return torch.cat([conv2d(strip, kernel) for strip in torch.split(maps, STRIP, dim=axis)], dim=axis)


def mirrored_indices(length: int, device: torch.device, radius: int = RADIUS) -> torch.Tensor:
    """Indices ``(length + 2 * radius,)`` that mirror an axis at both ends, edge included: 1 0 | 0 1 2 | 2 1."""
    indices = torch.arange(-radius, length + radius, device=device) % (2 * length)
    return torch.where(indices < length, indices, 2 * length - 1 - indices)
