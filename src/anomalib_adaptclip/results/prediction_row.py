# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What was found in an image, as a row of a table: path, score, label, and bounding boxes of marked regions.

Letters: B batch, H and W pixels of the map.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .regions import Box, boxes_of


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
