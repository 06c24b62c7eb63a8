# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the predictions of a Lightning trainer to a table while they are made."""

import logging
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import Any

from anomalib.data import InferenceBatch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from .geometry import FileGeometry
from .picture_roots import image_roots
from .prediction_table import require_results, shard_of
from .results_writer import ResultsWriter, SaveFormat, require_save
from .score_scale import batch_scales

logger = logging.getLogger(__name__)


class RawPredictions(Callback):
    """Keeps the scores and maps of a batch as they are before post-processing, which clamps them."""

    def __init__(self) -> None:
        self._raw: InferenceBatch | None = None

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Keep those of a batch, which others replace and do not change; not those that a category normalised."""
        del trainer, args, kwargs
        is_raw = getattr(pl_module, "prompt_bank", None) is None
        self._raw = InferenceBatch(pred_score=outputs.pred_score, anomaly_map=outputs.anomaly_map) if is_raw else None

    def take(self) -> InferenceBatch | None:
        """What was kept, which is not held any longer."""
        raw, self._raw = self._raw, None
        return raw


class ResultsCallback(Callback):
    """Writes predictions to a table batch by batch, so that memory does not grow with the number of images.

    Each process writes a table of its own, ``results-0-of-2.csv`` and so on. The callback must come after the
    post-processor, and :attr:`before` before it.

    Args:
        path: Table to write, ``.csv`` or ``.parquet``. With ``None`` nothing is written: a model without a table has
            such a callback too, because a Trainer keeps the callback of its last model until another one replaces it.
        save: Formats to write beside the table, as of :class:`ResultsWriter`.

    Attributes:
        before: Callback that keeps what the post-processor will change.

    Raises:
        ValueError: If the table cannot be written, as in :func:`require_results`, or nothing beside it.
    """

    def __init__(self, path: Path | str | None, save: Sequence[SaveFormat] = ()) -> None:
        self.path = None if path is None else require_results(path)
        require_save(save, self.path)
        self.save = save
        self.before = RawPredictions()
        self._file: ResultsWriter | None = None
        self._geometry = FileGeometry()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Check that every process gets an image to predict.

        Raises:
            ValueError: If there are fewer images than processes.
        """
        del pl_module
        if stage == "predict":
            require_an_image_each(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Lock the table of this process, and keep Lightning from collecting predictions.

        It happens only now, and not in ``setup``, because the model may refuse to start.
        """
        if self.path is None:
            return
        trainer.predict_loop.return_predictions = False
        table = shard_of(self.path, trainer.global_rank, trainer.world_size)
        self._file = ResultsWriter(table, self.save, image_roots(trainer))
        self._geometry = FileGeometry(transforms_of(trainer, pl_module))
        self._geometry.require_regular()

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
            ValueError: If the images have no paths.
        """
        del trainer, args, kwargs
        if self._file is None:
            return
        if outputs.image_path is None:
            msg = "A table of results needs the images' paths, but the batch has no image_path. Leave results out."
            raise ValueError(msg)
        scales = batch_scales(pl_module, outputs)
        self._file.write(outputs.image_path, outputs, self._geometry, scales, self.before.take())

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Turn the draft into the finished table."""
        del trainer, pl_module
        file, self._file = self._file, None
        if file is not None:
            file.finish()
            logger.info("Results written to %s.", ", ".join(map(str, [file.table.path, *file.outputs])))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Close the draft, which stays on disk."""
        del trainer, pl_module, exception
        if self._file is not None:
            self._file.abandon()
            self._file = None


def transforms_of(trainer: Trainer, module: LightningModule, index: int = 0) -> list[Any]:
    """What is done to the images that a trainer predicts or tests: by their data set, and by the pre-processor.

    Args:
        trainer: Trainer that has started.
        module: Model with the pre-processor.
        index: Which of the data loaders the images come from.
    """
    loaders = trainer.predict_dataloaders if trainer.predicting else trainer.test_dataloaders
    loader = loaders[index] if isinstance(loaders, list) else loaders  # anomalib predicts from one
    dataset = getattr(loader, "dataset", None)
    own = getattr(dataset, "augmentations", None) or getattr(dataset, "transform", None)
    return [own, getattr(getattr(module, "pre_processor", None), "transform", None)]


def require_an_image_each(trainer: Trainer) -> None:
    """Check that each process gets an image to predict, without which Lightning's distributed sampler fails.

    Args:
        trainer: Trainer that is about to predict. Only data loaders passed to it are checked, not those of a data
            module.

    Raises:
        ValueError: If there are fewer images than processes.
    """
    loaders = getattr(getattr(trainer.predict_loop, "_data_source", None), "instance", None)
    for loader in loaders if isinstance(loaders, list) else [loaders]:
        dataset: Any = loader.dataset if isinstance(loader, DataLoader) else None
        if isinstance(dataset, Sized) and 0 < len(dataset) < trainer.world_size:
            msg = (
                f"{trainer.world_size} processes need an image each to predict, got {len(dataset)}. Use fewer devices, "
                "or PredictFolder, which allows processes without images."
            )
            raise ValueError(msg)
