# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A callback that lets AdaptCLIP be tested on data without a validation split."""

from anomalib.data import AnomalibDataModule
from lightning.pytorch import Callback, LightningModule, Trainer


class SkipMissingValidation(Callback):
    """Skips the validation that anomalib puts before a test, where the data module has no validation split.

    anomalib asks such a data module for its validation data all the same, and fails. Lightning asks for none where the
    number of batches is limited to 0; the limit is put back in the end, also after an exception.
    """

    def __init__(self) -> None:
        self._limit: float | int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Limit the validation to nothing if there is no data for it."""
        del pl_module
        datamodule = getattr(trainer, "datamodule", None)
        if stage == "validate" and isinstance(datamodule, AnomalibDataModule) and not hasattr(datamodule, "val_data"):
            self._limit = trainer.limit_val_batches
            trainer.limit_val_batches = 0

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the limit back."""
        del pl_module, stage
        self._restore(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the limit back: Lightning tears nothing down after an exception."""
        del pl_module, exception
        self._restore(trainer)

    def _restore(self, trainer: Trainer) -> None:
        if self._limit is not None:
            trainer.limit_val_batches, self._limit = self._limit, None
