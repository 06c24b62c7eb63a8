# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Photos that were judged: what is kept of each, so that another threshold takes no further computation.

Letters: H and W pixels of a photo, h and w of its map, y and x of its small picture.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.results.geometry import FileGeometry, Geometry
from anomalib_adaptclip.results.image_result import ImageResult
from anomalib_adaptclip.results.picture import VERDICT_COLOURS, Verdict, map_on_panel, photo_pixels
from anomalib_adaptclip.results.prediction_row import PredictionRow, row_of

from .levels import Level, Levels

_SMALL, _FRAME = 180, 6  # pixels: longer side of a small picture, width of its frame
_NO_VERDICT = (150, 156, 161)


@dataclass(frozen=True)
class JudgedPhoto:
    """A photo and what the model made of it; raw values in [0, 1].

    Attributes:
        name: What its user calls it.
        path: Its file.
        score: Anomaly score.
        anomaly_map: ``(h, w)``.
        geometry: Where the map lies in the photo.
        small: The photo ``(y, x, 3)``, uint8.
        values: The map ``(y, x)``, NaN where the model did not see the photo.
    """

    name: str
    path: Path
    score: float
    anomaly_map: torch.Tensor
    geometry: Geometry
    small: NDArray[Any]
    values: NDArray[Any]

    def thumbnail(self, level: Level, verdict: Verdict) -> Image.Image:
        """A small picture: the photo below its heat map, in a frame that shows the verdict."""
        pixels = level.heat.over(self.small, np.nan_to_num(self.values))
        colour = VERDICT_COLOURS.get(verdict.word, _NO_VERDICT)
        return ImageOps.expand(Image.fromarray(pixels), _FRAME, colour)

    def row(self, levels: Levels, level: Level, files: FileGeometry) -> PredictionRow:
        """Its row in a table."""
        mask = None if level.pixel is None or level.image is None else self.anomaly_map > level.pixel
        result = ImageResult(
            str(self.path),
            level.normalized(self.score),
            level.label(self.score),
            self.score,
            mask,
            self.anomaly_map,
            levels.scale(level),
            files,
        )
        return row_of(result)._replace(path=self.name)


@torch.inference_mode()
def judge_photo(model: AdaptCLIP, name: str, path: Path, category: str | None) -> JudgedPhoto:
    """Judge one photo.

    Args:
        model: Model that is ready to predict.
        name: What its user calls it.
        path: Its file.
        category: What it shows, where the model has a prompt bank.

    Raises:
        UnreadableImageError: If it cannot be read.
    """
    photo = model.image_reader.read(path)
    inputs = model.image_input.preprocess(photo[None]).to(model.device)
    # Not the module's own `detect`: with a bank that normalises.
    output = model.model.detect(inputs, None if category is None else [category], model.prompt_bank)
    anomaly_map = torch.as_tensor(output.anomaly_map)[0, 0].float().cpu()
    size, map_size = (photo.shape[-2], photo.shape[-1]), (anomaly_map.shape[-2], anomaly_map.shape[-1])
    geometry = FileGeometry(model.image_input.transforms).of(size, map_size)
    small = photo_pixels(photo, _SMALL, _SMALL)
    values = map_on_panel(anomaly_map, geometry, (small.shape[0], small.shape[1]))
    score = float(torch.as_tensor(output.pred_score)[0])
    return JudgedPhoto(name, path, score, anomaly_map, geometry, small, values)
