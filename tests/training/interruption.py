# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Runs that are killed, for the tests of going on."""

import os
import signal
from typing import Any

from lightning.pytorch.callbacks import Callback


class KillAt(Callback):
    """Kill the process without warning, before a batch."""

    def __init__(self, epoch: int, batch: int) -> None:
        self.moment = (epoch, batch)

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        del pl_module, batch
        if (trainer.current_epoch, batch_idx) == self.moment:
            os.kill(os.getpid(), signal.SIGKILL)
