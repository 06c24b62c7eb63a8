# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Position tables of a Vision Transformer at other grids than it was trained with."""

import torch
from torch.nn.functional import interpolate


def resize_positions(table: torch.Tensor, trained: tuple[int, int], grid: tuple[int, int]) -> torch.Tensor:
    """Resize a position table to a grid, the class position untouched.

    Bilinear, ``align_corners=False``, no antialias: what the published adapters were trained with. open_clip's own
    resize is bicubic with antialias and gives other tokens.

    Args:
        table: Positions ``(1 + h * w, W)``, class first. It is never written to.
        trained: Grid ``(h, w)`` of the table.
        grid: Wanted grid.

    Returns:
        Positions ``(1 + L, W)`` with L the number of cells in ``grid``.
    """
    if grid == trained:
        return table
    patches = table[1:].T.reshape(1, -1, *trained)  # (1, W, h, w)
    patches = interpolate(patches, size=grid, mode="bilinear", align_corners=False)
    return torch.cat([table[:1], patches[0].flatten(1).T])
