# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From an item of anomalib with predictions to what a picture of it takes.

Letters: H and W pixels of the photo, h and w of the map.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torchvision.transforms.v2 import Normalize

from anomalib_adaptclip.files.image_reader import ImageReader

from .geometry import FileGeometry, Geometry
from .heat_scale import heat_scale
from .picture import Verdict
from .score_scale import Normalization, ScoreScale, score_scale


class View(NamedTuple):
    """A photo and where the model's map lies in it.

    Attributes:
        photo: ``(3, H, W)`` in [0, 1].
        geometry: None if the map lies all over it.
    """

    photo: torch.Tensor
    geometry: Geometry | None


class ItemReader:
    """Reads items of a model: photos from their files, maps and scores as the model gave them.

    Args:
        model: An ``AdaptCLIP``, or another model of anomalib.
        category: What the items show, for a model with a prompt bank.

    Attributes:
        scale: Colours of its maps.
        region: Mask over whole photos, of what it judges; None for all.
        read: Reads a photo's file, ``(3, H, W)`` in [0, 1], as the model does.
    """

    def __init__(self, model: Any, category: str | None = None) -> None:  # noqa: ANN401  # the packages below do not know it
        self.scale = heat_scale(model, category)
        self.region = region_of(model, category)
        self._scores = score_scale(model, category)
        reader: ImageReader = getattr(model, "image_reader", None) or ImageReader()
        self.read = reader.read
        self._normalize = _normalize_of(getattr(getattr(model, "pre_processor", None), "transform", None))

    def view(self, item: Any, files: FileGeometry) -> View:  # noqa: ANN401
        """The photo of an item as its file shows it.

        Where there is no such file, or its images are turned or warped, the model's input is shown instead.

        Args:
            item: anomalib's ``ImageItem``.
            files: Knows what was done to the images of files.

        Raises:
            ValueError: If the file cannot be read.
        """
        path, values = item.image_path, item.anomaly_map
        size = (torch.as_tensor(item.image if values is None else values)).shape[-2:]
        if path and Path(path).is_file():
            photo = self.read(path)
            try:
                return View(photo, files.of((photo.shape[-2], photo.shape[-1]), (size[0], size[1])))
            except ValueError:
                pass
        return View(self.input_photo(torch.as_tensor(item.image)), None)

    def input_photo(self, image: torch.Tensor) -> torch.Tensor:
        """The model's input ``(3, h, w)`` as a photo: without the pre-processor's normalisation, in [0, 1]."""
        image = image.detach().cpu().float()
        if self._normalize is not None:
            mean, std = (torch.tensor(part).view(-1, 1, 1) for part in (self._normalize.mean, self._normalize.std))
            image = image * std + mean
        return image.clamp(0, 1)

    def raw_map(self, item: Any) -> torch.Tensor | None:  # noqa: ANN401
        """The map ``(h, w)`` of an item as the model gave it, None without one."""
        pixels = self._scores.pixel or Normalization()
        return None if item.anomaly_map is None else plane(pixels.undo(torch.as_tensor(item.anomaly_map)))

    def verdict(self, item: Any) -> Verdict:  # noqa: ANN401
        """What is said of an item."""
        return verdict_of(item.pred_score, item.pred_label, self._scores)


def verdict_of(score: Any, label: Any, scale: ScoreScale) -> Verdict:  # noqa: ANN401
    """What is said of an image.

    Args:
        score: Score as the post-processor left it, None without one.
        label: Label, None without one.
        scale: What scores mean.
    """
    images = scale.image or Normalization()
    raw = None if score is None else float(images.undo(float(score)))
    if images.threshold is None or label is None or math.isnan(float(label)):
        return Verdict(raw)
    share = scale.share_above(raw) if scale.share_above is not None and raw is not None else None
    return Verdict(raw, images.threshold, bool(label), share)


def region_of(model: Any, category: str | None = None) -> torch.Tensor | None:  # noqa: ANN401
    """The region of interest of a model, a mask over whole photos; None if it judges all of them.

    Args:
        model: An ``AdaptCLIP``, or another model of anomalib.
        category: What the photos show, for a model with a prompt bank: each category may have its own there.
    """
    bank = getattr(model, "prompt_bank", None)
    own = None if bank is None or category is None else bank.regions_of([category])[0]
    return getattr(getattr(model, "model", None), "region", None) if own is None else own


def plane(values: Any) -> torch.Tensor:  # noqa: ANN401
    """A map or mask as ``(h, w)`` floats, on the CPU."""
    one: torch.Tensor = torch.as_tensor(values).detach().cpu().float()
    return one.reshape(one.shape[-2:])


def _normalize_of(transform: Any) -> Normalize | None:  # noqa: ANN401
    steps = getattr(transform, "transforms", [transform])
    return next((step for step in steps if isinstance(step, Normalize)), None)
