# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A visualizer that loses no picture, whatever the images' names, and however many runs a model makes."""

import logging
from pathlib import Path
from typing import Any

import torch
from anomalib.visualization import ImageVisualizer
from lightning.pytorch import LightningModule, Trainer
from PIL import Image

from anomalib_adaptclip.argument_types import require_types

from .picture_folder import PictureFolder, new_folder
from .picture_roots import image_roots

logger = logging.getLogger(__name__)


class AdaptCLIPVisualizer(ImageVisualizer):
    """Draws as anomalib's visualizer does, one picture for each image under test or prediction.

    Pictures of a run lie in ``images`` of its folder of results, or in ``output_dir``; where that holds files already,
    in ``images-2`` and so on. Their paths are those of the images below the data set or the predicted folder, with
    ``.png`` at the end. None replaces another.

    Args:
        **kwargs: As for anomalib's ``ImageVisualizer``.
    """

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        require_types(ImageVisualizer.__init__, kwargs)
        super().__init__(**kwargs)
        self._pictures: PictureFolder | None = None
        self._summary = ""

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin a new folder, the same in all processes."""
        self._pictures, self._summary = None, ""
        if getattr(pl_module, "visualizer", None) is not self:
            return  # a trainer keeps the visualizer of its last model
        wanted = Path(self.output_dir or Path(trainer.default_root_dir) / "images")
        folder = new_folder(wanted) if trainer.is_global_zero else wanted
        self._pictures = PictureFolder(trainer.strategy.broadcast(folder), image_roots(trainer))

    on_predict_start = on_test_start

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the images of a batch.

        Raises:
            OSError: If a picture cannot be written.
        """
        del trainer, pl_module, outputs, batch_idx, dataloader_idx
        for item in batch if self._pictures else ():
            picture = self.render(item)
            if self._pictures and picture is not None:
                self._pictures.save(picture, item.image_path)

    def render(self, item: Any) -> Image.Image | None:  # noqa: ANN401
        """Draw an image with its map and mask.

        Args:
            item: anomalib's ``ImageItem`` with predictions.

        Returns:
            The picture, None if there is nothing to draw.
        """
        picture = self.visualize(item)
        return picture if isinstance(picture, Image.Image) else None

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Count the pictures of all processes."""
        if self._pictures is None:
            return
        own = torch.tensor(self._pictures.written, device=pl_module.device)
        number = int(trainer.strategy.reduce(own, reduce_op="sum"))
        folder, here = self._pictures.folder.absolute(), Path.cwd()
        shown = folder.relative_to(here) if folder.is_relative_to(here) else folder
        self._summary = f"{number} picture{'' if number == 1 else 's'}: {shown}"
        self._pictures = None

    on_predict_end = on_test_end

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Tell where the pictures are, after all else that a run has to say."""
        del pl_module, stage
        if self._summary and trainer.is_global_zero:
            logger.info(self._summary)
        self._summary = ""
