# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Seconds that a test takes for an image."""

from collections.abc import Callable
from typing import Any

import torch
from anomalib.data import Batch
from lightning.pytorch import Callback, LightningModule, Trainer


class Stopwatch(Callback):
    """Takes the time of a test from the end of its first batch, which warms up what later ones find ready.

    Args:
        clock: Gives the time in seconds.

    Attributes:
        seconds: Of the batches after the first.
        images: In them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.seconds = 0.0
        self.images = 0
        self._clock = clock
        self._before: float | None = None

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Batch[Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Count a batch."""
        del trainer, pl_module, outputs, batch_idx, dataloader_idx
        now = self._clock()
        if self._before is not None:
            self.seconds += now - self._before
            self.images += len(torch.as_tensor(batch.gt_label))
        self._before = now
