# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Regions that a mask marks, as bounding boxes in the pixels of the image file.

Letters: H and W pixels of the map.
"""

import math

import cv2
import torch
from PIL import Image

Box = tuple[int, int, int, int]


def boxes_of(mask: torch.Tensor, path: str) -> list[Box]:
    """Find the bounding boxes of the connected regions of a mask.

    Args:
        mask: Mask ``(H, W)``, not 0 for abnormal pixels. Pixels that touch at a corner are connected.
        path: Path of the image file, to whose size the boxes are scaled. They are not scaled if it cannot be read.

    Returns:
        One box per region, from top to bottom.
    """
    height, width = mask.shape
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.bool().byte().numpy(), connectivity=8)
    if len(stats) == 1:  # the background
        return []
    image_width, image_height = _size_of(path) or (width, height)
    across, down = image_width / width, image_height / height
    return [
        (
            math.floor(left * across),
            math.floor(top * down),
            math.ceil((left + wide) * across),
            math.ceil((top + high) * down),
        )
        for left, top, wide, high, _ in stats[1:].tolist()
    ]


def _size_of(path: str) -> tuple[int, int] | None:
    """Read the width and height of an image file from its header. None if it cannot be read."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return int(width), int(height)
    except OSError:
        return None
