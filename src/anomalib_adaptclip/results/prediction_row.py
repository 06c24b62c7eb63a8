# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What was found in an image, as a row of a table: path, score, label, and bounding boxes of marked regions.

Letters: B batch, H and W pixels of the map.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import cv2
import torch
from PIL import Image

Box = tuple[int, int, int, int]


class PredictionRow(NamedTuple):
    """One row.

    Attributes:
        path: Of the image, as it was given.
        score: Of the image, in [0, 1].
        label: 1 abnormal, 0 normal, ``None`` where there is no threshold.
        boxes: Left, top, right and bottom of each marked region, in pixels of the image file; right and bottom are the
            first pixels outside.
    """

    path: str
    score: float
    label: int | None
    boxes: list[Box]


def prediction_rows(paths: Sequence[str], predictions: Any) -> list[PredictionRow]:  # noqa: ANN401
    """Rows of a batch.

    Args:
        paths: B images.
        predictions: With ``pred_score`` ``(B,)``, and ``pred_label`` ``(B,)`` and ``pred_mask`` ``(B, 1, H, W)`` or
            ``(B, H, W)`` or ``None``: an ``InferenceBatch`` or a batch of anomalib.

    Returns:
        B rows.
    """
    scores = predictions.pred_score.flatten().tolist()
    labels = [None] * len(paths) if predictions.pred_label is None else predictions.pred_label.flatten().int().tolist()
    masks = predictions.pred_mask
    boxes: Iterable[list[Box]] = [[]] * len(paths)
    if masks is not None:
        boxes = map(boxes_of, masks.cpu().flatten(0, -3), paths)
    return [PredictionRow(*row) for row in zip(map(str, paths), scores, labels, boxes, strict=True)]


def boxes_of(mask: torch.Tensor, path: str) -> list[Box]:
    """Bounding boxes of the connected regions of a mask.

    Args:
        mask: ``(H, W)``, what is not 0 is marked. Pixels that touch at a corner belong together.
        path: Of the image, to whose size the boxes are scaled. They stay as they are if there is no such file.

    Returns:
        A box a region, from top to bottom.
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
    """Width and height of an image file; only its header is read."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return int(width), int(height)
    except OSError:
        return None
