# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A visualizer that loses no picture, whatever the images' names, and however many runs a model makes."""

import logging
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from anomalib.visualization import ImageVisualizer
from lightning.pytorch import LightningModule, Trainer
from PIL import Image

from anomalib_adaptclip.argument_types import require_types

from .callback import transforms_of
from .explanation import Explanation
from .explanation_picture import render_explanation
from .geometry import FileGeometry
from .item_picture import ItemReader, plane
from .picture import render_picture, whole
from .picture_folder import PictureFolder, new_folder, shown_name
from .picture_roots import image_roots

logger = logging.getLogger(__name__)


class AdaptCLIPVisualizer(ImageVisualizer):
    """Draws one picture for each image under test or prediction.

    A picture shows the photo in its own shape, the photo with the heat map, with the outlines of what exceeds the
    threshold, and with the ground truth, where there is one; above them verdict, score and threshold; below them what
    the colours mean, which is the same in all pictures of a run, see :func:`.heat_scale.heat_scale`. Without
    calibration there are no outlines and no verdict, and the colours go from 0 to 1.

    Pictures of a run lie in ``images`` of its folder of results, or in ``output_dir``; where that holds files already,
    in ``images-2`` and so on. Their paths are those of the images below the data set or the predicted folder, with
    ``.png`` at the end. None replaces another.

    Args:
        output_dir: Folder for the pictures.
        explain: Show also why: what each adapter marks, and beside the most abnormal regions the nearest good patch,
            cut out of the good photo. Each image goes through CLIP once more.
        **fields: Arguments of anomalib's ``ImageVisualizer``, such as ``fields``. With any other than its defaults
            pictures look as it draws them.
    """

    def __init__(self, output_dir: str | Path | None = None, *, explain: bool = False, **fields: Any) -> None:  # noqa: ANN401
        require_types(AdaptCLIPVisualizer.__init__, {"output_dir": output_dir, "explain": explain})
        require_types(ImageVisualizer.__init__, fields)
        super().__init__(output_dir=output_dir, **fields)
        self.explain = explain
        defaults = signature(ImageVisualizer).parameters  # which the command line passes, too
        self._is_anomalibs = any(value != defaults[name].default for name, value in fields.items())
        self._pictures: PictureFolder | None = None
        self._model: Any = None
        self._items: dict[str | None, ItemReader] = {}  # by category
        self._roots: list[Path] = []
        self._geometries: dict[int, FileGeometry] = {}
        self._summary = ""

    def use(self, model: Any, roots: Sequence[Path] = ()) -> None:  # noqa: ANN401  # the packages below do not know it
        """Draw by the thresholds of a model, where there is no trainer.

        Args:
            model: The model that predicts, ready to do so.
            roots: Absolute folders that images come from, which are left out of their names.
        """
        self._model, self._items, self._roots = model, {}, list(roots)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a new folder, the same in all processes.

        Raises:
            ValueError: If the model cannot explain.
        """
        self._pictures, self._summary, self._geometries = None, "", {}
        self._model, self._items = pl_module, {}
        if getattr(pl_module, "visualizer", None) is not self:
            return  # a trainer keeps the visualizer of its last model
        if self.explain and not hasattr(pl_module, "explain_batch"):
            msg = f"Only AdaptCLIP explains its predictions; got {type(pl_module).__name__}. Leave explain out."
            raise ValueError(msg)
        wanted = Path(self.output_dir or Path(trainer.default_root_dir) / "images")
        folder = new_folder(wanted) if trainer.is_global_zero else wanted
        self._roots = image_roots(trainer)
        self._pictures = PictureFolder(trainer.strategy.broadcast(folder), self._roots)

    on_predict_start = on_test_start

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,  # noqa: ANN401
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the images of a batch.

        Raises:
            OSError: If a picture cannot be written.
        """
        del outputs, batch_idx
        if self._pictures is None:
            return
        if dataloader_idx not in self._geometries:
            self._geometries[dataloader_idx] = FileGeometry(transforms_of(trainer, pl_module, dataloader_idx))
        categories = pl_module.categories_of(batch) if hasattr(pl_module, "categories_of") else None
        parts = zip(batch, self._explained(pl_module, batch), categories or [None] * len(batch), strict=True)
        for item, explanation, category in parts:
            picture = self.render(item, self._geometries[dataloader_idx], explanation, category)
            if picture is not None:
                self._pictures.save(picture, item.image_path)

    def _explained(self, model: Any, batch: Any) -> list[Explanation | None]:  # noqa: ANN401
        if self.explain:
            return list(model.explain_batch(batch))
        return [None] * len(batch)

    def render(
        self,
        item: Any,  # noqa: ANN401
        files: FileGeometry | None = None,
        explanation: Explanation | None = None,
        category: str | None = None,
    ) -> Image.Image | None:
        """Draw an image with its map, its verdict and its ground truth.

        Args:
            item: anomalib's ``ImageItem`` with predictions.
            files: Knows what was done to the images. By default they were resized as a whole.
            explanation: Why it scores so, to be shown too; boxes in pixels of the model's input.
            category: What it shows, for a model with a prompt bank.

        Returns:
            The picture, None if there is nothing to draw.
        """
        if self._is_anomalibs:
            picture = self.visualize(item)
            return picture if isinstance(picture, Image.Image) else None
        if category not in self._items:
            self._items[category] = ItemReader(self._model, category)
        items = self._items[category]
        view, verdict = items.view(item, files or FileGeometry()), items.verdict(item)
        facts: Any = {
            "geometry": view.geometry,
            "truth": None if item.gt_mask is None else plane(item.gt_mask),
            "region": items.region,
            "name": shown_name(item.image_path, self._roots),
        }
        if explanation is None:
            return render_picture(view.photo, items.raw_map(item), items.scale, verdict, **facts)
        way = view.geometry or whole(view.photo, explanation.anomaly_map)
        return render_explanation(view.photo, explanation.in_file(way), items.scale, verdict, items.read, **facts)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the pictures of all processes."""
        if self._pictures is None:
            return
        own = torch.tensor(self._pictures.written, device=pl_module.device)
        number = int(trainer.strategy.reduce(own, reduce_op="sum"))
        folder, here = self._pictures.folder.absolute(), Path.cwd()
        shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
        self._summary = f"{number} picture{'' if number == 1 else 's'}: {shown}"
        self._pictures, self._model, self._items = None, None, {}

    on_predict_end = on_test_end

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell where the pictures are, after all else that a run has to say."""
        del pl_module, stage
        if self._summary and trainer.is_global_zero:
            logger.info(self._summary)
        self._summary = ""
