# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Regions that a mask marks, in the pixels of the upright image file.

Letters: h and w pixels of the map, H and W of the file.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import torch

from .geometry import Box, Geometry

Pixels = npt.NDArray[np.bool_]


class Region(NamedTuple):
    """Marked pixels that are connected.

    Attributes:
        box: Left, top, right and bottom in pixels of the file. Right and bottom are exclusive.
        pixels: Which pixels of the box are marked.
        score: Largest raw value of the map in the region; ``None`` without a map.
    """

    box: Box
    pixels: Pixels
    score: float | None

    @property
    def area(self) -> int:
        """Number of marked pixels of the file."""
        return int(self.pixels.sum())

    @property
    def polygons(self) -> list[list[int]]:
        """Outlines along the edges of pixels, each x, y, x, y and so on in the file. Holes are filled."""
        # Of doubled pixels the outermost are an odd coordinate at the far side, an even one at the near side.
        doubled = self.pixels.repeat(2, axis=0).repeat(2, axis=1).astype(np.uint8)
        outlines, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return [((outline[:, 0] + 1) // 2 + self.box[:2]).ravel().tolist() for outline in outlines]


def regions_of(mask: torch.Tensor, geometry: Geometry, scores: torch.Tensor | None = None) -> list[Region]:
    """Find the connected regions of a mask.

    Args:
        mask: Mask ``(h, w)``, not 0 for abnormal pixels. Pixels that touch at a corner are connected.
        geometry: Where the mask lies in its file.
        scores: Raw map ``(h, w)``.

    Returns:
        Regions from top to bottom. A pixel of the file is marked if a marked pixel of the mask reaches into it. Regions
        beside the file, in what a transform padded, are left out.
    """
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.bool().byte().numpy(), connectivity=8)
    found = []
    for label, (left, top, wide, high, _) in enumerate(stats[1:].tolist(), start=1):  # the first is the background
        box = geometry.box_to_file(left, top, left + wide, top + high)
        if box is not None:
            place = slice(top, top + high), slice(left, left + wide)
            inside = labels[place] == label
            score = None if scores is None else float(scores[place][torch.from_numpy(inside)].max())
            found.append(Region(box, geometry.pixels_of(inside, (left, top), box), score))
    return found


def boxes_of(mask: torch.Tensor, geometry: Geometry) -> list[Box]:
    """Bounding boxes of the regions of a mask, as of :func:`regions_of`."""
    return [region.box for region in regions_of(mask, geometry)]


def mask_of(regions: list[Region], size: tuple[int, int]) -> npt.NDArray[Any]:
    """Mask of a whole file.

    Args:
        regions: Its regions.
        size: Height H and width W of the file.

    Returns:
        ``(H, W)`` of uint8, 255 where marked, else 0.
    """
    mask = np.zeros(size, np.uint8)
    for (left, top, right, bottom), pixels, _ in regions:
        mask[top:bottom, left:right][pixels] = 255
    return mask
