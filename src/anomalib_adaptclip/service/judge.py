# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Judges the contents of image files, as a worker of the service does.

Letters: B batch, H and W pixels of a photo, h and w of the model's input and of maps.
"""

import base64
import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.data import InferenceBatch
from PIL import Image, UnidentifiedImageError

from anomalib_adaptclip.app.models import Settings
from anomalib_adaptclip.files.image_reader import UnreadableImageError
from anomalib_adaptclip.model.openvino_runtime import Runtime
from anomalib_adaptclip.model.predictor import AdaptCLIPPredictor
from anomalib_adaptclip.results.geometry import Geometry
from anomalib_adaptclip.results.heat_scale import HeatScale, heat_scale
from anomalib_adaptclip.results.image_result import ImageResult, image_results
from anomalib_adaptclip.results.item_picture import plane, region_of
from anomalib_adaptclip.results.picture import Verdict, render_picture
from anomalib_adaptclip.results.verdicts import without_verdicts

from .answers import Reason

logger = logging.getLogger(__name__)

NO_THRESHOLD = "There is no threshold."


@dataclass(frozen=True)
class Photo:
    """An image to judge.

    Attributes:
        name: What its sender calls it.
        content: Content of its file.
        category: What it shows, for a model with a prompt bank.
        wants_map: Whether the map is wanted, too.
        wants_picture: Whether a picture is wanted, too.
        is_retry: Whether a worker ended while it judged this one, perhaps because of it.
    """

    name: str
    content: bytes
    category: str | None = None
    wants_map: bool = False
    wants_picture: bool = False
    is_retry: bool = False


@dataclass(frozen=True)
class Opening:
    """How a worker opens its model.

    Attributes:
        model: A checkpoint or a prompt bank.
        options: Arguments of :class:`AdaptCLIP` that were given.
        runtime: As of :class:`AdaptCLIPPredictor`.
    """

    model: Path
    options: Mapping[str, Any]
    runtime: Runtime = "torch"

    def predictor(self, device: str) -> AdaptCLIPPredictor:
        """Open the model.

        Raises:
            ValueError: If it cannot be used, or an argument is wrong.
            FileNotFoundError: If there is no such file.
            ConnectionError: If weights cannot be downloaded.
        """
        return AdaptCLIPPredictor(Settings(self.options, device).open(self.model, strict=True), device, self.runtime)


class Judge:
    """Judges images that are in memory.

    Args:
        predictor: Its model says what is normal.
    """

    def __init__(self, predictor: AdaptCLIPPredictor) -> None:
        self._predictor = predictor
        self._model = predictor.model
        self._scale = predictor.scale
        self._colours: dict[str | None, HeatScale] = {}

    def judge(self, photos: Sequence[Photo]) -> list[dict[str, Any]]:
        """Judge images together.

        Args:
            photos: B of them.

        Returns:
            B answers, each the fields of a ``Judged`` or a ``Refused``.
        """
        answers: list[dict[str, Any] | None] = [None] * len(photos)
        ready: dict[tuple[int, int], list[tuple[int, torch.Tensor, tuple[int, int]]]] = {}
        for row, photo in enumerate(photos):
            try:
                image = self._model.image_reader.read_bytes(photo.content, photo.name)
                inputs = self._model.image_input.preprocess(image[None])
            except (UnreadableImageError, MemoryError) as error:
                is_other = isinstance(error.__cause__, UnidentifiedImageError)
                answers[row] = refused(photo.name, "kind" if is_other else "damaged", str(error))
                continue
            # Images of models with tiles keep their sizes, and only those of one size make a batch.
            size, file = (inputs.shape[-2], inputs.shape[-1]), (image.shape[-2], image.shape[-1])
            ready.setdefault(size, []).append((row, inputs, file))
        for group in ready.values():
            batch = torch.cat([inputs for _, inputs, _ in group])
            judged = self._predicted([photos[row] for row, _, _ in group], batch, [file for _, _, file in group])
            for (row, _, _), answer in zip(group, judged, strict=True):
                answers[row] = answer
        return [answer for answer in answers if answer is not None]

    def _predicted(
        self, photos: Sequence[Photo], inputs: torch.Tensor, files: Sequence[tuple[int, int]]
    ) -> list[dict[str, Any]]:
        categories = [photo.category for photo in photos if photo.category is not None]
        try:
            output: Any = self._predictor.predict(inputs, categories or None)
        except Exception as error:
            if len(photos) > 1:  # the memory may do for one
                return [
                    answer
                    for row, photo in enumerate(photos)
                    for answer in self._predicted([photo], inputs[row : row + 1], files[row : row + 1])
                ]
            logger.exception("%s cannot be judged", photos[0].name)
            return [
                refused(photos[0].name, "internal", f"The model failed on {photos[0].name}: {type(error).__name__}.")
            ]
        scales = output.scales or [self._scale] * len(photos)
        answers = []
        for row, (photo, size, scale) in enumerate(zip(photos, files, scales, strict=True)):
            one = _row(output, row)
            raw = None if output.raw is None else _row(output.raw, row)
            has_threshold = scale.image is not None and scale.image.threshold is not None
            judged = one if has_threshold else without_verdicts(one, [NO_THRESHOLD])
            [result] = image_results([photo.name], judged, self._predictor.geometry, scale, raw)
            result.size = size
            if result.raw_map is None:
                result.raw_map = plane(one.anomaly_map)
            answers.append(self._answer(photo, result))
        return answers

    def _answer(self, photo: Photo, result: ImageResult) -> dict[str, Any]:
        score = result.score if result.raw_score is None else result.raw_score
        threshold, geometry = result.raw_threshold, result.geometry
        label = None if threshold is None else result.label
        is_abnormal = None if label is None else bool(label)
        return {
            "name": photo.name,
            "label": label,
            "verdict": None if is_abnormal is None else "abnormal" if is_abnormal else "good",
            "score": score,
            "threshold": threshold,
            "normalized_score": result.score,
            "normal_share": result.normal_share,
            "category": photo.category,
            "size": list(geometry.size),
            "regions": [
                {"box": list(region.box), "area": region.area, "score": region.score} for region in result.regions
            ],
            "map": map_answer(result.raw_map, geometry) if photo.wants_map and result.raw_map is not None else None,
            "picture": self._picture(photo, result, Verdict(score, threshold, is_abnormal, result.normal_share))
            if photo.wants_picture
            else None,
        }

    def _picture(self, photo: Photo, result: ImageResult, verdict: Verdict) -> str:
        if photo.category not in self._colours:
            self._colours[photo.category] = heat_scale(self._model, photo.category)
        picture = render_picture(
            self._model.image_reader.read_bytes(photo.content, photo.name),  # again: a batch of large ones takes much
            result.raw_map,
            self._colours[photo.category],
            verdict,
            geometry=result.geometry,
            region=region_of(self._model, photo.category),
            name=photo.name,
        )
        return png_in_base64(picture)


def refused(name: str, reason: Reason, error: str) -> dict[str, Any]:
    """An answer for an image that is not judged."""
    return {"name": name, "reason": reason, "error": error}


def map_answer(values: torch.Tensor, geometry: Geometry) -> dict[str, Any]:
    """A map for JSON.

    Args:
        values: ``(h, w)`` in [0, 1].
        geometry: Where it lies in its image.
    """
    high, wide = values.shape
    grey = (values.clamp(0, 1) * 65535).round().numpy().astype(np.uint16)
    across, down = geometry.across, geometry.down
    box = [across.to_file(0), down.to_file(0), across.to_file(wide), down.to_file(high)]
    return {"png": png_in_base64(Image.fromarray(grey)), "box": [round(side, 3) for side in box]}


def png_in_base64(image: Image.Image) -> str:
    """A PNG file as text."""
    file = io.BytesIO()
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode("ascii")


def _row(batch: Any, row: int) -> InferenceBatch:  # noqa: ANN401  # of anomalib, or ours
    return InferenceBatch(*(None if field is None else field[row : row + 1] for field in batch))
