# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How long a model trains where nobody tells the trainer."""

import logging

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Timer
from lightning.pytorch.trainer.states import TrainerFn

logger = logging.getLogger(__name__)


class DefaultEpochsMixin(LightningModule):
    """Gives a trainer without any limit the model's ``epochs``.

    anomalib's ``trainer_arguments`` would override what the user says. A trainer is told when it is attached: right
    after, Lightning makes 1000 epochs of ``None``, which could be the user's.
    """

    epochs: int

    @property
    def trainer(self) -> Trainer:
        """The trainer, as of every Lightning module."""
        return super().trainer

    @trainer.setter
    def trainer(self, trainer: Trainer | None) -> None:
        if trainer is not None and trainer.state.fn == TrainerFn.FITTING and _is_unlimited(trainer):
            trainer.fit_loop.max_epochs = self.epochs
            logger.info("The trainer's max_epochs is not set: training for %d epochs.", self.epochs)
        LightningModule.trainer.fset(self, trainer)  # type: ignore[attr-defined]


def _is_unlimited(trainer: Trainer) -> bool:
    """Whether neither epochs, nor steps, nor time are limited."""
    timed = any(isinstance(callback, Timer) for callback in trainer.callbacks)  # type: ignore[attr-defined]
    return trainer.max_epochs is None and trainer.max_steps == -1 and not timed
