# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The evaluator that measures all models of a comparison in the same way.

Letters: B batch, H and W pixels.
"""

from typing import Any

import torch
from anomalib.data import Batch
from anomalib.metrics import Evaluator
from anomalib.utils.cv import connected_components_cpu
from lightning.pytorch import LightningModule, Trainer
from torch.nn.functional import interpolate

from anomalib_adaptclip.metrics.ranking_metrics import Ranking

from .curves import Curve, curve_of

IMAGE_METRICS = ("AUROC", "AP", "F1Max")
PIXEL_METRICS = (*IMAGE_METRICS, "AUPRO")
METRICS = (*(f"image_{name}" for name in IMAGE_METRICS), *(f"pixel_{name}" for name in PIXEL_METRICS))


class ComparisonEvaluator(Evaluator):
    """Computes image and pixel metrics from raw scores, as the model returns them.

    Args:
        pixel_size: Height and width to which maps and masks are resized before pixels are counted. By default they keep
            the model's input size.

    Attributes:
        images: Number of images seen.
    """

    def __init__(self, pixel_size: int | None = None) -> None:
        super().__init__()
        self.pixel_size = pixel_size
        self.images = 0
        self._image_ranking, self._pixel_ranking = Ranking(), Ranking()

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Batch[Any],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add a batch to the metrics."""
        del trainer, pl_module, outputs, batch_idx, dataloader_idx
        self.update(batch)

    def update(self, batch: Batch[Any]) -> None:
        """Add a batch to the metrics.

        Args:
            batch: Batch with scores ``(B,)`` and labels, and optionally maps ``(B, 1, H, W)`` or ``(B, H, W)`` and
                masks ``(B, H, W)``.

        Raises:
            ValueError: If scores are not finite.
        """
        labels = torch.as_tensor(batch.gt_label)
        self.images += len(labels)
        self._image_ranking.update(torch.as_tensor(batch.pred_score), labels)
        if batch.anomaly_map is None or batch.gt_mask is None:
            return
        masks = torch.as_tensor(batch.gt_mask).float()
        masks = masks.reshape(len(labels), 1, *masks.shape[-2:])
        maps = torch.as_tensor(batch.anomaly_map).float().reshape(len(labels), 1, *batch.anomaly_map.shape[-2:])
        if self.pixel_size is not None:
            size = (self.pixel_size, self.pixel_size)
            maps, masks = interpolate(maps, size, mode="bilinear"), interpolate(masks, size, mode="nearest")
        for anomaly_map, mask in zip(maps, (masks > 0.5).float().cpu(), strict=True):
            self._pixel_ranking.update(anomaly_map, mask, connected_components_cpu(mask.unsqueeze(0)))

    def scores(self) -> dict[str, float | None]:
        """Return the metrics by the names of ``METRICS``, in [0, 1]. An undefined metric is None."""
        image, pixel = self._image_ranking.scores(), self._pixel_ranking.scores()
        return {f"image_{name}": image[name] for name in IMAGE_METRICS} | {
            f"pixel_{name}": pixel[name] for name in PIXEL_METRICS
        }

    def curves(self) -> dict[str, Curve]:
        """Return the curves of images and of pixels, by level. An undefined curve is left out."""
        found = {"image": curve_of(self._image_ranking), "pixel": curve_of(self._pixel_ranking)}
        return {level: curve for level, curve in found.items() if curve}
