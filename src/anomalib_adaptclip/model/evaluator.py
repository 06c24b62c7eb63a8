# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""anomalib's evaluator, without figures for what does not exist."""

import logging
from typing import Any

import torch
from anomalib.metrics import Evaluator
from lightning.pytorch import LightningModule, Trainer

logger = logging.getLogger(__name__)

TARGETS = {"gt_label": "images", "gt_mask": "pixels"}


class TwoClassEvaluator(Evaluator):
    """Leaves test metrics out where there is no normal, or no abnormal image or pixel: they would be 0 by convention.

    All its test metrics compare both classes.
    """

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._seen: dict[str, torch.Tensor] = {}

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget what was seen before."""
        del trainer
        self._seen = {target: torch.zeros(2, device=pl_module.device) for target in TARGETS}

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Update the metrics, and remember the classes of the batch."""
        super().on_test_batch_end(trainer, pl_module, outputs, batch, batch_idx, dataloader_idx)
        for target in TARGETS:
            truth = getattr(batch, target, None)
            if truth is not None:
                self._seen[target] += torch.stack([(truth == 0).any(), (truth != 0).any()])

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the metrics that exist, and tell which do not."""
        del pl_module
        missing = {target: self._missing(trainer, target) for target in TARGETS}
        metrics: Any = self.test_metrics
        for metric in metrics:
            if any(missing.get(field) for field in metric.fields):
                metric.reset()
                continue
            self.log(metric.name, metric)  # type: ignore[operator]  # Lightning gives it to callbacks
            if trainer.barebones:  # which logs nothing: as anomalib's own
                trainer.callback_metrics[metric.name] = trainer.logged_metrics[metric.name] = metric.compute()

    def _missing(self, trainer: Trainer, target: str) -> str:
        """The class that no process has seen, which is told; ``""`` if there are both."""
        normal, abnormal = (trainer.strategy.reduce(self._seen[target], reduce_op="sum") > 0).tolist()
        if normal and abnormal:
            return ""
        metrics: Any = self.test_metrics
        names = ", ".join(metric.name for metric in metrics if target in metric.fields)
        missing = "abnormal" if normal else "normal"
        if names and (normal or abnormal):
            logger.warning(
                "The test data has no %s %s: %s do not exist and are left out.", missing, TARGETS[target], names
            )
        return missing
