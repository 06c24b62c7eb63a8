# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Lightning's prediction, streamed to a table."""

import logging
from collections.abc import Sized
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from .prediction_row import prediction_rows
from .prediction_table import PredictionTable, require_results, shard_of

logger = logging.getLogger(__name__)


class ResultsCallback(Callback):
    """Writes predictions batch by batch and keeps none, so that memory does not grow with the number of images.

    Each process writes a table of its own, ``results-0-of-2.csv`` and so on. To come after the post-processor.

    Args:
        path: Table, ``.csv`` or ``.parquet``. With ``None`` nothing is written: a model without a table has such a
            callback too, because a Trainer keeps that of its last model until another takes its place.

    Raises:
        ValueError: If it is something else.
    """

    def __init__(self, path: Path | str | None) -> None:
        self.path = None if path is None else require_results(path)
        self._file: PredictionTable | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that several processes can share the images.

        Raises:
            ValueError: If they cannot.
        """
        del pl_module
        if stage == "predict":
            require_an_image_each(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Claim the table of this process, and let Lightning collect nothing. The model may still refuse to start."""
        del pl_module
        if self.path is None:
            return
        trainer.predict_loop.return_predictions = False
        self._file = PredictionTable(shard_of(self.path, trainer.global_rank, trainer.world_size))

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Write the rows of a batch.

        Raises:
            ValueError: If its images have no paths.
        """
        del trainer, pl_module, args, kwargs
        if self._file is None:
            return
        if outputs.image_path is None:
            msg = "A table of results names its images, and these have no image_path. Leave results out."
            raise ValueError(msg)
        self._file.write(prediction_rows(outputs.image_path, outputs))

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Make the table complete."""
        del trainer, pl_module
        if self._file is not None:
            self._file.finish()
            logger.info("Results written to %s.", self._file.path)
            self._file = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave the draft."""
        del trainer, pl_module, exception
        if self._file is not None:
            self._file.abandon()
            self._file = None


def require_an_image_each(trainer: Trainer) -> None:
    """Check that each process gets an image to predict, which Lightning's way of sharing them asserts.

    Args:
        trainer: About to predict. Data loaders that it was given are checked, not those of a data module.

    Raises:
        ValueError: If there are fewer images than processes.
    """
    loaders = getattr(getattr(trainer.predict_loop, "_data_source", None), "instance", None)
    for loader in loaders if isinstance(loaders, list) else [loaders]:
        dataset: Any = loader.dataset if isinstance(loader, DataLoader) else None
        if isinstance(dataset, Sized) and 0 < len(dataset) < trainer.world_size:
            msg = (
                f"{trainer.world_size} processes need an image each at least to predict; there are {len(dataset)}. "
                "Take fewer devices, or PredictFolder, which may leave some without."
            )
            raise ValueError(msg)
