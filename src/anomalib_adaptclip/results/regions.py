# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Regions that a mask marks, as bounding boxes in the pixels of the upright image file.

Letters: h and w pixels of the map.
"""

import cv2
import torch

from .geometry import Box, Geometry


def boxes_of(mask: torch.Tensor, geometry: Geometry) -> list[Box]:
    """Find the bounding boxes of the connected regions of a mask.

    Args:
        mask: Mask ``(h, w)``, not 0 for abnormal pixels. Pixels that touch at a corner are connected.
        geometry: Where the mask lies in its file.

    Returns:
        One box per region, from top to bottom. Regions beside the file, in what a transform padded, are left out.
    """
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.bool().byte().numpy(), connectivity=8)
    boxes = (
        geometry.box_to_file(left, top, left + wide, top + high) for left, top, wide, high, _ in stats[1:].tolist()
    )  # the first is the background
    return [box for box in boxes if box is not None]
