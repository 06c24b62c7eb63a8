# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Turns predictions into rows of a table: scores, label, and the abnormal regions."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from .geometry import Box, FileGeometry
from .image_result import ImageResult, image_results
from .score_scale import ScoreScale


class PredictionRow(NamedTuple):
    """The prediction for one image.

    Attributes:
        path: Path of the image, as it was given.
        score: Anomaly score of the image, in [0, 1], normalised where the model was calibrated.
        label: 1 for abnormal, 0 for normal, or ``None`` without a threshold that fits.
        boxes: Left, top, right and bottom of each abnormal region, in pixels of the upright image file. Right and
            bottom are exclusive.
        raw_score: Score before normalisation, in [0, 1]; ``None`` if it is not known.
        raw_threshold: Raw score above which images are abnormal; ``None`` if nothing was calibrated.
        normal_share: Share of normal images that are expected to score as high, in [0, 1]; ``None`` if the model was
            not calibrated on normal images.
        region_areas: Marked pixels of the file in each region.
        region_scores: Largest raw value of the map in each region; empty if that is not known.
    """

    path: str
    score: float
    label: int | None
    boxes: list[Box]
    raw_score: float | None = None
    raw_threshold: float | None = None
    normal_share: float | None = None
    region_areas: tuple[int, ...] = ()
    region_scores: tuple[float, ...] = ()


def prediction_rows(
    paths: Sequence[str],
    predictions: Any,  # noqa: ANN401
    geometry: FileGeometry | None = None,
    scale: ScoreScale | Sequence[ScoreScale] | None = None,
) -> list[PredictionRow]:
    """Turn the predictions of a batch into rows.

    Args:
        paths: Paths of the B images.
        predictions: As of :func:`image_results`.
        geometry: Likewise, such as ``predictor.geometry``.
        scale: Likewise, such as ``predictor.scale``.

    Returns:
        The B rows.

    Raises:
        ValueError: If the regions cannot be brought back to the file, or a score is not finite; the image is named.
    """
    return [row_of(result) for result in image_results(paths, predictions, geometry, scale)]


def row_of(result: ImageResult) -> PredictionRow:
    """Row of an image."""
    regions = result.regions
    return PredictionRow(
        result.path,
        result.score,
        result.label,
        [region.box for region in regions],
        result.raw_score,
        result.raw_threshold,
        result.normal_share,
        tuple(region.area for region in regions),
        tuple(region.score for region in regions if region.score is not None),
    )
