# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Turns predictions into rows of a table: path, score, label, and bounding boxes of the abnormal regions.

Letters: B batch, h and w pixels of the map.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch

from anomalib_adaptclip.files.image_reader import ImageReader, UnreadableImageError

from .geometry import Box, FileGeometry
from .regions import boxes_of
from .verdicts import labels_of


class PredictionRow(NamedTuple):
    """The prediction for one image.

    Attributes:
        path: Path of the image, as it was given.
        score: Anomaly score of the image, in [0, 1].
        label: 1 for abnormal, 0 for normal, or ``None`` without a threshold that fits.
        boxes: Left, top, right and bottom of each abnormal region, in pixels of the upright image file. Right and
            bottom are exclusive.
    """

    path: str
    score: float
    label: int | None
    boxes: list[Box]


def prediction_rows(
    paths: Sequence[str],
    predictions: Any,  # noqa: ANN401
    geometry: FileGeometry | None = None,
) -> list[PredictionRow]:
    """Turn the predictions of a batch into rows.

    Args:
        paths: Paths of the B images.
        predictions: An ``InferenceBatch`` or a batch of anomalib with ``pred_score`` ``(B,)``, ``pred_label`` ``(B,)``
            or ``None``, and ``pred_mask`` ``(B, 1, h, w)``, ``(B, h, w)`` or ``None``.
        geometry: Knows what was done to the images. By default they were resized as a whole.

    Returns:
        The B rows.

    Raises:
        ValueError: If the regions cannot be brought back to the file, or a score is not finite; the image is named.
    """
    geometry = geometry or FileGeometry()
    scores = predictions.pred_score.flatten().tolist()
    if wrong := [(path, score) for path, score in zip(paths, scores, strict=True) if not math.isfinite(score)]:
        path, score = wrong[0]
        msg = f"The score of {path} is {score}, not a number. Look at the image, the weights and the thresholds."
        raise ValueError(msg)
    labels = labels_of(predictions, len(paths))
    masks = predictions.pred_mask
    boxes: Iterable[list[Box]] = [[]] * len(paths)
    if masks is not None:
        judged = [label is not None or predictions.pred_label is None for label in labels]
        rows = zip(masks.cpu().flatten(0, -3), paths, judged, strict=True)
        boxes = (_boxes(mask, path, geometry) if has_verdict else [] for mask, path, has_verdict in rows)
    return [PredictionRow(*row) for row in zip(map(str, paths), scores, labels, boxes, strict=True)]


def _boxes(mask: torch.Tensor, path: str, geometry: FileGeometry) -> list[Box]:
    """Boxes of a mask ``(h, w)`` in the file; in the map's own pixels if there is no such file."""
    size = (mask.shape[0], mask.shape[1])
    if not mask.any():
        return []
    try:
        file = ImageReader().size(path)
    except UnreadableImageError:
        return boxes_of(mask, FileGeometry().of(size, size))
    return boxes_of(mask, geometry.of(file, size))
