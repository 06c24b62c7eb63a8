# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A callback that lets AdaptCLIP be trained and tested on data without a validation split, or without test images."""

import logging
import warnings
from typing import Any

import torch
from anomalib.data import AnomalibDataModule
from lightning.pytorch import Callback, LightningModule, Trainer

logger = logging.getLogger(__name__)


class SkipMissingData(Callback):
    """Skips the validation where there are no images for it, and keeps in a checkpoint what needs none.

    anomalib validates before it tests, also where the data module has no validation split, and fails. Lightning asks
    for no data where the number of batches is limited to 0; the limit is put back in the end, also after an exception.
    A skipped validation calls no hooks, so that neither prompts would be chosen nor a checkpoint be written.
    """

    def __init__(self) -> None:
        self._limit: float | int | None = None
        self._is_validated = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Limit the validation to nothing if there is no data for it."""
        del pl_module
        datamodule = getattr(trainer, "datamodule", None)
        if not isinstance(datamodule, AnomalibDataModule):
            return
        if stage == "validate" and not len(getattr(datamodule, "val_data", ())):
            self._limit = trainer.limit_val_batches
            trainer.limit_val_batches = 0
        if stage == "test" and not len(getattr(datamodule, "test_data", ())):
            warnings.filterwarnings("ignore", message="Total length of `DataLoader` across ranks is zero")
            logger.info("There are no test images: nothing is tested.")

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that something is validated."""
        del trainer, pl_module
        self._is_validated = True

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the limit back, and do what a validation does besides measuring."""
        self._restore(trainer)
        if (
            stage == "validate"
            and not self._is_validated
            and hasattr(getattr(trainer, "datamodule", None), "train_data")
        ):
            save_without_validation(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the limit back: Lightning tears nothing down after an exception."""
        del pl_module, exception
        self._restore(trainer)

    def _restore(self, trainer: Trainer) -> None:
        if self._limit is not None:
            trainer.limit_val_batches, self._limit = self._limit, None


@torch.no_grad()
def save_without_validation(trainer: Trainer, model: Any) -> None:  # noqa: ANN401
    """Choose prompts, calibrate on them if that is wanted, and save a checkpoint.

    Args:
        trainer: Trainer that skipped the validation and has moved the model off its device.
        model: An AdaptCLIP.

    Raises:
        ValueError: If there are too few normal images.
    """
    model.to(trainer.strategy.root_device)
    model.prepare()
    for callback in trainer.checkpoint_callbacks:
        callback.on_validation_end(trainer, model)
    model.cpu()
    logger.info(
        "There are no validation images. Kept in %s: prompts (%d), %s.",
        getattr(trainer.checkpoint_callback, "best_model_path", "") or "the model, without a checkpoint",
        len(model.prompt_files),
        "and their thresholds" if model.calibrator else "no thresholds; calibration='normal' finds them on the prompts",
    )
