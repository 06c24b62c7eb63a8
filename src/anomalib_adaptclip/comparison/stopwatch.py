# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Measures how many seconds a test takes per image."""

from collections.abc import Callable
from typing import Any

import torch
from anomalib.data import Batch
from lightning.pytorch import Callback, LightningModule, Trainer


class Stopwatch(Callback):
    """Measures the duration of a test without its first batch, which is slower because everything warms up in it.

    Args:
        clock: Function that returns the time in seconds.

    Attributes:
        seconds: Seconds that all batches after the first took.
        images: Number of images in those batches.
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
        """Add the time and the images of a batch."""
        del trainer, pl_module, outputs, batch_idx, dataloader_idx
        now = self._clock()
        if self._before is not None:
            self.seconds += now - self._before
            self.images += len(torch.as_tensor(batch.gt_label))
        self._before = now
