# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The images under test that all models of a sweep show, good ones too, each with a model's map and score.

They depend on the images under test alone, so the runs of all models, and of several sweeps, show the same ones.
Letters: B batch, H and W pixels.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from anomalib.data import AnomalibDataModule, Batch
from lightning.pytorch import LightningModule

from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.files.tensors import sha256_of
from anomalib_adaptclip.results.geometry import FileGeometry

from .components import relative_path
from .gallery_file import Panel, SameImage
from .panels import mask_of_file, mask_panel, photograph, picture_size, to_colours
from .views import by_view

logger = logging.getLogger(__name__)

GOOD = 2  # largest number of good images that are shown
ABNORMAL = 4  # largest number of abnormal images that are shown
LEAST_SHARE = 0.01  # smallest range of a model's maps for its colours, as a share of their greatest value


class _Tested(NamedTuple):
    """An image that was tested.

    Attributes:
        path: Path of the image file.
        is_abnormal: Whether it is abnormal.
        score: Anomaly score, as the model returns it.
        map: Map ``(H, W)`` if the image is shown and the model has maps, otherwise None.
    """

    path: str
    is_abnormal: bool
    score: float
    map: torch.Tensor | None


class SameImages:
    """Collects scores and maps of a test, and draws the images that all models show."""

    def __init__(self) -> None:
        self._chosen: list[str] | None = None
        self._tested: list[_Tested] = []

    def add(self, batch: Batch[Any], datamodule: AnomalibDataModule) -> None:
        """Keep the scores of a batch, and the maps of those images that are shown.

        Args:
            batch: Batch with paths, scores ``(B,)`` and labels, and optionally maps ``(B, 1, H, W)`` or ``(B, H, W)``.
            datamodule: Data module with the images under test.
        """
        if self._chosen is None:
            self._chosen = choose_images(datamodule)
        paths: list[str] = getattr(batch, "image_path", [])
        labels, scores = torch.as_tensor(batch.gt_label).tolist(), torch.as_tensor(batch.pred_score).flatten().tolist()
        for index, (path, label, score) in enumerate(zip(paths, labels, scores, strict=True)):
            anomaly_map = None
            if path in self._chosen and batch.anomaly_map is not None:
                anomaly_map = torch.as_tensor(batch.anomaly_map)[index].squeeze().float().cpu()
            self._tested.append(_Tested(path, bool(label), score, anomaly_map))

    def draw(self, model: LightningModule, datamodule: AnomalibDataModule) -> list[SameImage]:
        """Draw the images that all models show, in the order of :func:`choose_images`.

        The colours of all maps cover the same range, so that a good image is dark beside an abnormal one if the model
        tells them apart. It ends at the median of the abnormal images' largest values, so that a single one does not
        darken all others.

        Args:
            model: Model that was tested.
            datamodule: Data module with the images under test.
        """
        tested = {image.path: image for image in self._tested}
        low, high = colour_range([(image.map, image.is_abnormal) for image in self._tested if image.map is not None])
        good = [image.score for image in self._tested if not image.is_abnormal]
        painter = _Painter(model, datamodule, low, high)
        return [
            SameImage(
                relative_path(path, datamodule),
                sha256_of(Path(path)),
                tested[path].is_abnormal,
                tested[path].score,
                sum(score < tested[path].score for score in good),
                len(good),
                painter.panels(f"same_{number}", path, tested[path].map),
            )
            for number, path in enumerate(self._chosen or [])
            if path in tested
        ]


def choose_images(datamodule: AnomalibDataModule) -> list[str]:
    """Choose the images under test that all models show: good ones, then abnormal ones, evenly spread by name.

    Of a data set with camera views they are those of the first view, which is the one whose pictures a run keeps.

    Args:
        datamodule: Data module that has been set up.

    Returns:
        Paths of up to ``GOOD`` good and ``ABNORMAL`` abnormal images.
    """
    samples = next(by_view(datamodule)).test_data.samples
    by_label: tuple[list[str], list[str]] = ([], [])
    for path, label in zip(samples.image_path, samples.label_index, strict=True):
        by_label[int(label)].append(str(path))
    good, abnormal = (sorted(set(paths)) for paths in by_label)
    return [*spread(good, GOOD), *spread(abnormal, ABNORMAL)]


def spread(paths: Sequence[str], count: int) -> list[str]:
    """Choose evenly spaced elements, in order: all of them if there are no more than ``count``."""
    if len(paths) <= count:
        return list(paths)
    return [paths[(2 * index + 1) * len(paths) // (2 * count)] for index in range(count)]


def colour_range(maps: Sequence[tuple[torch.Tensor, bool]]) -> tuple[float, float]:
    """Return the values of the darkest and of the brightest colour of some maps.

    Args:
        maps: Maps ``(H, W)``, each with whether its image is abnormal.

    Returns:
        The smallest value of all maps, and the median of the largest values of the abnormal images, or of all images if
        none is abnormal. Both are 0 without maps.
    """
    if not maps:
        return 0.0, 0.0
    largest = [float(values.max()) for values, is_abnormal in maps if is_abnormal]
    return (
        min(float(values.min()) for values, _ in maps),
        median(largest or [float(values.max()) for values, _ in maps]),
    )


class _Painter:
    """Draws an image, its mask and its map, all with what the file shows, in its aspect ratio."""

    def __init__(self, model: LightningModule, datamodule: AnomalibDataModule, low: float, high: float) -> None:
        self._datamodule, self._low, self._high = datamodule, low, high
        self._reader = getattr(model, "image_reader", None) or ImageReader()
        transform = getattr(getattr(model, "pre_processor", None), "transform", None)
        self._geometry = FileGeometry([getattr(datamodule.test_data, "augmentations", None), transform])
        paths = datamodule.test_data.samples.image_path
        self._place = {str(path): index for index, path in enumerate(paths)}

    def panels(self, name: str, path: str, anomaly_map: torch.Tensor | None) -> list[Panel]:
        """Draw the image, its mask and its map ``(H, W)``, as far as there are any."""
        image = self._reader.read(path)
        file = image.shape[-2], image.shape[-1]
        size = picture_size(*file)
        panels = [Panel("query", f"{name}_query.jpg", photograph(image), relative_path(path, self._datamodule))]
        mask = mask_of_file(self._datamodule.test_data, self._place[path], self._reader)
        if mask is not None:
            panels.append(mask_panel(f"{name}_mask.png", mask, size))
        whole = None if anomaly_map is None else self._brought_to_file(anomaly_map, file)
        if whole is not None:
            low, high = self._low, self._high
            spread_of_values = max(high - low, LEAST_SHARE * max(abs(low), abs(high))) or 1.0
            content = to_colours(whole, low, spread_of_values, size, "JPEG")
            panels.append(Panel("map", f"{name}_map.jpg", content, low=low, high=high))
        return panels

    def _brought_to_file(self, anomaly_map: torch.Tensor, file: tuple[int, int]) -> torch.Tensor | None:
        """Return the map with the file's pixels, or None if the model's transforms turn, mirror or warp images."""
        try:
            geometry = self._geometry.of(file, (anomaly_map.shape[-2], anomaly_map.shape[-1]))
        except ValueError as error:
            logger.debug("A map is not shown. %s", error)
            return None
        return geometry.to_file(anomaly_map, outside=self._low)
