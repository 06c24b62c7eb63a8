# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Turns predictions into rows of a table: path, score, label, and bounding boxes of the abnormal regions.

Letters: B batch, H and W pixels of the map.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from .regions import Box, boxes_of


class PredictionRow(NamedTuple):
    """The prediction for one image.

    Attributes:
        path: Path of the image, as it was given.
        score: Anomaly score of the image, in [0, 1].
        label: 1 for abnormal, 0 for normal, or ``None`` without a threshold.
        boxes: Left, top, right and bottom of each abnormal region, in pixels of the image file. Right and bottom are
            exclusive.
    """

    path: str
    score: float
    label: int | None
    boxes: list[Box]


def prediction_rows(paths: Sequence[str], predictions: Any) -> list[PredictionRow]:  # noqa: ANN401
    """Turn the predictions of a batch into rows.

    Args:
        paths: Paths of the B images.
        predictions: An ``InferenceBatch`` or a batch of anomalib with ``pred_score`` ``(B,)``, ``pred_label`` ``(B,)``
            or ``None``, and ``pred_mask`` ``(B, 1, H, W)``, ``(B, H, W)`` or ``None``.

    Returns:
        The B rows.

    Raises:
        ValueError: If a score is not finite; the image is named.
    """
    scores = predictions.pred_score.flatten().tolist()
    if wrong := [(path, score) for path, score in zip(paths, scores, strict=True) if not math.isfinite(score)]:
        path, score = wrong[0]
        msg = f"The score of {path} is {score}, not a number. Look at the image, the weights and the thresholds."
        raise ValueError(msg)
    labels = [None] * len(paths) if predictions.pred_label is None else predictions.pred_label.flatten().int().tolist()
    masks = predictions.pred_mask
    boxes: Iterable[list[Box]] = [[]] * len(paths)
    if masks is not None:
        boxes = map(boxes_of, masks.cpu().flatten(0, -3), paths)
    return [PredictionRow(*row) for row in zip(map(str, paths), scores, labels, boxes, strict=True)]
