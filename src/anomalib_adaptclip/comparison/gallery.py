# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Keeps pictures of a run: the images that all models show and, of AdaptCLIP, those with the best and the worst maps.

The worker that tests the model draws the pictures, and returns them as bytes with the row of the table, because it may
have another file system. Letters: B batch, H and W pixels.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from anomalib.data import AnomalibDataModule, Batch
from lightning.pytorch import Callback, LightningModule, Trainer

from anomalib_adaptclip.metrics.ranking_metrics import Ranking
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.results.geometry import FileGeometry

from .components import relative_path
from .gallery_file import LEAST_RANGE, Panel, Pictures, pack
from .panels import mask_of_file, mask_panel, photograph, picture_size, to_colours
from .same_images import SameImages

logger = logging.getLogger(__name__)

PROMPTS = 4  # largest number of prompt images that are shown
DrawnT = TypeVar("DrawnT")


class Ranked(NamedTuple):
    """An abnormal image that was tested.

    Attributes:
        path: Path of the image file.
        score: Anomaly score of the image.
        pixel_ap: Average precision of the image's pixels, or None without a mask.
    """

    path: str
    score: float
    pixel_ap: float | None


class GalleryCallback(Callback):
    """Keeps pictures of the images that all models show and, of AdaptCLIP, of its best, median and worst image.

    If pictures cannot be made, there is a warning, and the run goes on.

    Attributes:
        seconds: Seconds that choosing, ranking and drawing took, which do not count as test time.
        archive: Content of the file with the pictures, or None if there are none.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.archive: bytes | None = None
        self._tested: list[Ranked] = []
        self._same = SameImages()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Batch[Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Measure the abnormal images of a batch, and keep what the pictures need."""
        del outputs, batch_idx, dataloader_idx
        start = time.perf_counter()
        if isinstance(pl_module, AdaptCLIP):
            self._tested += rank(batch)
        if datamodule := _datamodule_of(trainer):
            self._same.add(batch, datamodule)
        self.seconds += time.perf_counter() - start

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Draw the chosen images."""
        start = time.perf_counter()
        if datamodule := _datamodule_of(trainer):
            same = _or_none(lambda: self._same.draw(pl_module, datamodule))
            ranked = None
            if isinstance(pl_module, AdaptCLIP):
                ranked = _or_none(lambda: draw(pl_module, datamodule, self._tested))
            self.archive = pack(ranked or [], same or []) if ranked or same else None
        self.seconds += time.perf_counter() - start


def _datamodule_of(trainer: Trainer) -> AnomalibDataModule | None:
    datamodule: Any = getattr(trainer, "datamodule", None)
    return datamodule if isinstance(datamodule, AnomalibDataModule) else None


def _or_none(make: Callable[[], list[DrawnT]]) -> list[DrawnT] | None:
    try:
        return make()
    except Exception:  # the figures are worth more than the pictures
        logger.warning("The pictures of this run cannot be made; its figures are kept.", exc_info=True)
        return None


def rank(batch: Batch[Any]) -> list[Ranked]:
    """Measure the abnormal images of a batch.

    Args:
        batch: Batch with paths, scores ``(B,)`` and labels, and optionally maps ``(B, 1, H, W)`` and masks
            ``(B, H, W)``.

    Returns:
        The abnormal images with their scores and pixel AP.
    """
    tested = []
    paths: list[str] = getattr(batch, "image_path", [])
    labels, scores = torch.as_tensor(batch.gt_label).tolist(), torch.as_tensor(batch.pred_score).flatten().tolist()
    for index, (path, label, score) in enumerate(zip(paths, labels, scores, strict=True)):
        if label:
            pixel_ap = None
            if batch.gt_mask is not None and batch.anomaly_map is not None:
                pixels = Ranking()
                pixels.update(torch.as_tensor(batch.anomaly_map)[index].squeeze(), batch.gt_mask[index].squeeze())
                pixel_ap = pixels.scores()["AP"]
            tested.append(Ranked(str(path), score, pixel_ap))
    return tested


def choose(tested: Sequence[Ranked]) -> dict[str, tuple[Ranked, str, float]]:
    """Choose the best, the median and the worst image by pixel AP, or by score if no image has a pixel AP.

    Args:
        tested: Abnormal images.

    Returns:
        For each rank the image, the measure and its value. Two images have no median, and a single one is the best.
    """
    ranked = sorted((image.pixel_ap, image.path, image) for image in tested if image.pixel_ap is not None)
    measure = "pixel AP"
    if not ranked:
        ranked, measure = sorted((image.score, image.path, image) for image in tested), "score"
    chosen: dict[int, str] = {}
    for rank_name, place in (("best", len(ranked) - 1), ("worst", 0), ("median", len(ranked) // 2)):
        if 0 <= place < len(ranked):
            chosen.setdefault(place, rank_name)
    return {chosen[place]: (ranked[place][2], measure, ranked[place][0]) for place in sorted(chosen, reverse=True)}


def draw(model: AdaptCLIP, datamodule: AnomalibDataModule, tested: Sequence[Ranked]) -> list[Pictures]:
    """Predict the best, the median and the worst image again, and draw them.

    Args:
        model: Model that was tested, with its prompts.
        datamodule: Data module with the images under test.
        tested: Abnormal images.

    Returns:
        Pictures of up to three images, none for a model with a prompt bank.
    """
    if model.prompt_bank is not None:
        return []
    read_by = model.image_reader
    read = read_by.read
    prompts = [
        Panel("prompt", f"prompt_{index}.jpg", photograph(read(path)), relative_path(path, datamodule))
        for index, path in enumerate(model.prompt_files[:PROMPTS])
    ]
    samples = datamodule.test_data.samples
    place = {str(path): index for index, path in enumerate(samples.image_path)}

    def _mask_of(path: str) -> Any:  # noqa: ANN401  # a torchvision tensor
        return mask_of_file(datamodule.test_data, place[path], read_by)

    return [
        Pictures(
            rank_name,
            measure,
            quality,
            image.score,
            _panels(rank_name, image.path, _mask_of(image.path), model, datamodule, prompts),
        )
        for rank_name, (image, measure, quality) in choose(tested).items()
    ]


def _panels(
    name: str,
    path: str,
    mask: Any,  # noqa: ANN401  # a torchvision tensor, which lacks type hints
    model: AdaptCLIP,
    datamodule: AnomalibDataModule,
    prompts: Sequence[Panel],
) -> list[Panel]:
    """Draw query, prompts, maps and mask of an image, all with what the file shows, in its aspect ratio."""
    image = model.image_reader.read(path)
    query = Panel("query", f"{name}_query.jpg", photograph(image), relative_path(path, datamodule))
    image_input = model.image_input.like_test_images(datamodule)
    inputs = image_input.read([path])
    maps = model.model.maps_by_adapter(inputs.to(model.device))
    size = picture_size(image.shape[-2], image.shape[-1])
    file, map_size = (image.shape[-2], image.shape[-1]), (inputs.shape[-2], inputs.shape[-1])
    geometry = FileGeometry(image_input.transforms).of(file, map_size)
    panels = [query, *prompts]
    for kind, values in maps.items():
        whole = geometry.to_file(values[0, 0].cpu(), outside=float(values.min()))
        panels.append(_heat_map(f"{name}_{kind}.png", kind, whole, size))
    if mask is not None:
        panels.append(mask_panel(f"{name}_mask.png", mask, size))
    return panels


def _heat_map(file: str, kind: str, values: torch.Tensor, size: tuple[int, int]) -> Panel:
    """Draw a map ``(H, W)`` as PNG. The colours cover the map's own range, or ``LEAST_RANGE`` if that is larger."""
    low, high = float(values.min()), float(values.max())
    content = to_colours(values, low, max(high - low, LEAST_RANGE), size, "PNG")
    return Panel(kind, file, content, low=round(low, 4), high=round(high, 4))
