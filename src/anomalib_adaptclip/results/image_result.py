# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a prediction says of each image file: score, label, regions, map.

Letters: B batch, h and w pixels of the map, H and W of the file.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from anomalib.data import InferenceBatch

from anomalib_adaptclip.files.image_reader import ImageReader, UnreadableImageError

from .geometry import FileGeometry, Geometry, Size
from .regions import Region, regions_of
from .score_scale import Normalization, ScoreScale
from .verdicts import labels_of


class RawInferenceBatch(InferenceBatch):
    """Predictions that know what they were before post-processing.

    Attributes:
        raw: Raw scores and maps, without labels and masks; None if those of the scales count.
        scales: What the scores of each image mean; None where it is the same of all.
    """

    raw: InferenceBatch | None = None
    scales: list[ScoreScale] | None = None


@dataclass
class ImageResult:
    """The prediction for one image.

    Attributes:
        path: Path of the image, as it was given.
        score: Anomaly score as the post-processor gives it.
        label: 1 for abnormal, 0 for normal, ``None`` without a threshold.
        raw_score: Score before normalisation; ``None`` if it is not known.
        mask: Marked pixels of the map ``(h, w)``, ``None`` without a threshold.
        raw_map: Map ``(h, w)`` before normalisation, ``None`` if it is not known.
        scale: What scores mean.
        files: Knows what was done to the images.
        size: Height and width of the upright file; the file is asked where they are not known.
    """

    path: str
    score: float
    label: int | None
    raw_score: float | None
    mask: torch.Tensor | None
    raw_map: torch.Tensor | None
    scale: ScoreScale
    files: FileGeometry
    size: Size | None = None

    @cached_property
    def geometry(self) -> Geometry:
        """Where the map lies in the file; the map's own pixels if there is no such file.

        Raises:
            ValueError: If the map cannot be brought back to the file.
        """
        size = self._map_size
        try:
            file = self.size or ImageReader().size(self.path)
        except UnreadableImageError:
            return FileGeometry().of(size, size)
        return self.files.of(file, size)

    @property
    def _map_size(self) -> Size:
        known = self.mask if self.mask is not None else self.raw_map
        if known is None:
            msg = f"The prediction for {self.path} has neither map nor mask. Save only tables of it."
            raise ValueError(msg)
        return known.shape[0], known.shape[1]

    @cached_property
    def regions(self) -> list[Region]:
        """Regions that the mask marks, in pixels of the file; none without a mask."""
        if self.mask is None or not self.mask.any():
            return []
        return regions_of(self.mask, self.geometry, self.raw_map)

    @property
    def raw_threshold(self) -> float | None:
        """Raw score that labels part at, ``None`` where nothing was calibrated."""
        return self.scale.image.threshold if self.scale.image else None

    @property
    def normal_share(self) -> float | None:
        """Share of normal images that are expected to score as high, ``None`` without a calibration on them."""
        share = self.scale.share_above
        return None if share is None or self.raw_score is None else share(self.raw_score)


def image_results(
    paths: Sequence[str],
    predictions: Any,  # noqa: ANN401
    geometry: FileGeometry | None = None,
    scale: ScoreScale | Sequence[ScoreScale] | None = None,
    raw: InferenceBatch | None = None,
) -> Iterator[ImageResult]:
    """Take the predictions of a batch apart.

    Args:
        paths: Paths of the B images.
        predictions: An ``InferenceBatch`` or a batch of anomalib with ``pred_score`` ``(B,)``, ``pred_label`` ``(B,)``
            or ``None``, ``anomaly_map`` and ``pred_mask`` ``(B, 1, h, w)``, ``(B, h, w)`` or ``None``.
        geometry: Knows what was done to the images. By default they were resized as a whole.
        scale: What scores mean, of their model, or of each of the B images. By default it is not known. What the
            predictions know counts first.
        raw: Predictions before post-processing. By default those that the predictions know, or what the scale says.

    Raises:
        ValueError: If a score is not finite; the image is named.
    """
    scale = getattr(predictions, "scales", None) or scale or ScoreScale(None, None)
    scales = [scale] * len(paths) if isinstance(scale, ScoreScale) else scale
    raw = raw or getattr(predictions, "raw", None) or _undone(predictions, scales)
    scores = _listed(predictions.pred_score, len(paths))
    if wrong := [(path, score) for path, score in zip(paths, scores, strict=True) if not math.isfinite(score)]:
        path, score = wrong[0]
        msg = f"The score of {path} is {score}, not a number. Look at the image, the weights and the thresholds."
        raise ValueError(msg)
    labels = labels_of(predictions, len(paths))
    raw_scores = _listed(raw.pred_score, len(paths))
    masks, maps = _images(predictions.pred_mask, len(paths)), _images(raw.anomaly_map, len(paths))
    geometry = geometry or FileGeometry()
    parts = zip(map(str, paths), scores, labels, raw_scores, masks, maps, scales, strict=True)
    for path, score, label, raw_score, mask, raw_map, own in parts:
        has_verdict = label is not None or predictions.pred_label is None
        marked = mask if has_verdict else None  # no threshold fits
        yield ImageResult(path, score, label, raw_score, marked, raw_map, own, geometry)


def _undone(predictions: Any, scales: Sequence[ScoreScale]) -> InferenceBatch:  # noqa: ANN401
    """Undo the normalisation, as far as it is known."""
    images, pixels = ([getattr(scale, kind) for scale in scales] for kind in ("image", "pixel"))
    return InferenceBatch(
        pred_score=_undo(predictions.pred_score.flatten(), images), anomaly_map=_undo(predictions.anomaly_map, pixels)
    )


def _undo(values: torch.Tensor | None, ways: Sequence[Normalization | None]) -> torch.Tensor | None:
    known = [way for way in ways if way is not None]
    if values is None or not known or len(known) < len(ways):
        return None
    return torch.stack([way.undo(value) for way, value in zip(known, values, strict=True)])


def _listed(values: torch.Tensor | None, number: int) -> list[Any]:
    return [None] * number if values is None else values.flatten().tolist()


def _images(values: torch.Tensor | None, number: int) -> Iterable[torch.Tensor | None]:
    return [None] * number if values is None else values.detach().cpu().flatten(0, -3)
