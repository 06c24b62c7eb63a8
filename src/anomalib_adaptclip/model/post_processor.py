# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""anomalib's post-processor, with thresholds that no score of the validation data lies on."""

from typing import Any

import torch
from anomalib.metrics import F1AdaptiveThreshold
from anomalib.post_processing import PostProcessor
from torchmetrics.utilities.data import dim_zero_cat

from anomalib_adaptclip.results.verdicts import withhold

_EQUAL = 1e-6  # scores that are no farther apart are one and the same, for float32 after normalisation
_MARGIN = 1e-3  # distance from the outermost score, beyond which there is no neighbour


class ThresholdBetweenScores(F1AdaptiveThreshold):
    """anomalib's threshold, put between the scores that it parts.

    anomalib's is a score itself: found with ``>=`` and applied with ``>``, it gives the image that it was found on to
    the other side.
    """

    def compute(self) -> torch.Tensor:  # type: ignore[override]  # as anomalib's own
        """The threshold of what was updated."""
        scores, labels = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        return threshold_between(scores, super().compute(), is_upper=bool(labels.any()))


class AdaptCLIPPostProcessor(PostProcessor):
    """anomalib's post-processor, whose thresholds are those of :class:`ThresholdBetweenScores`.

    Args:
        **kwargs: As for anomalib's ``PostProcessor``.
    """

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self._image_threshold_metric = ThresholdBetweenScores(fields=["pred_score", "gt_label"], strict=False)
        self._pixel_threshold_metric = ThresholdBetweenScores(fields=["anomaly_map", "gt_mask"], strict=False)

    def post_process_batch(self, batch: Any) -> None:  # noqa: ANN401
        """Normalise and label a batch; images that get no verdict have the label False and an empty mask."""
        super().post_process_batch(batch)
        withhold(batch)


def threshold_between(scores: torch.Tensor, threshold: torch.Tensor, *, is_upper: bool) -> torch.Tensor:
    """Move a threshold from a score to the middle between this and the next one.

    Args:
        scores: Scores that it was found on, of any shape.
        threshold: One of them.
        is_upper: Whether the threshold belongs to the scores above it, which are abnormal; else to those below.

    Returns:
        A threshold that parts the scores as before, whether equal ones count as above it or not. Beyond the outermost
        score it keeps a small distance.
    """
    sign = 1 if is_upper else -1
    distance = sign * (threshold - scores)  # positive for scores beyond
    near, beyond = distance[distance <= _EQUAL], distance[distance > _EQUAL]
    gap = (near.amax(), beyond.amin()) if len(beyond) else (near.amax(), near.amax() + 2 * _MARGIN)
    return threshold - sign * (gap[0] + gap[1]) / 2
