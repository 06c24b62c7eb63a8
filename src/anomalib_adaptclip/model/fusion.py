# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Fusion: from the outputs of the adapters to one score and one map.

All scores and maps are probabilities or alignment scores: 0 is normal, 1 abnormal.
Letters: B batch, H and W pixels.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch

from anomalib_adaptclip.adapters import AdapterOutput, Alignment

from .anomaly_map import smooth, upsample

Fusion = Literal["published", "paper"]


class Prediction(NamedTuple):
    """Score and map of a batch.

    Attributes:
        score: Score of each image, ``(B,)``.
        anomaly_map: Score of each pixel, ``(B, 1, H, W)``.
    """

    score: torch.Tensor
    anomaly_map: torch.Tensor


def average_layers(outputs: Sequence[AdapterOutput], size: tuple[int, int]) -> Prediction:
    """Average one adapter's outputs, one a layer, and bring the map to ``size`` pixels."""
    scores = torch.stack([output.score for output in outputs])
    maps = torch.stack([upsample(output.patch_probabilities, size) for output in outputs])
    return Prediction(scores.mean(dim=0), maps.mean(dim=0))


def alignment_map(alignments: Sequence[Alignment], grid: tuple[int, int], size: tuple[int, int]) -> torch.Tensor:
    """Fuse the alignment scores of all layers by their harmonic mean: ``(B, 1, H, W)``."""
    return harmonic_mean([upsample(alignment.score.view(-1, 1, *grid), size) for alignment in alignments])


def harmonic_mean(values: Sequence[torch.Tensor]) -> torch.Tensor:
    """Element-wise harmonic mean of tensors of one shape.

    Args:
        values: Tensors of values of at least 0; rounding below 0 is clamped.

    Returns:
        Their harmonic mean. It is 0 wherever one of them is 0.
    """
    # 1 / 0 is infinite and a count over infinity is 0, so zeros need no case of their own
    return len(values) / torch.stack([value.clamp(min=0).reciprocal() for value in values]).sum(dim=0)


def fuse(predictions: Sequence[Prediction], alignment: torch.Tensor | None, fusion: Fusion) -> Prediction:
    """Fuse what the adapters say into the final score and map.

    As published: zero-shot, the map is the smoothed mean map, and its maximum counts as one more score. Few-shot, the
    mean map is fused with the alignment map, and the mean score with the maximum of the final map, by harmonic means.
    ``"paper"``: plain averages, as the paper's section on training and inference has it.

    Args:
        predictions: Predictions of the adapters that are present, at least one.
        alignment: Alignment map ``(B, 1, H, W)``, ``None`` for zero-shot.
        fusion: ``"published"`` or ``"paper"``.

    Returns:
        Score ``(B,)`` and map ``(B, 1, H, W)``, both in [0, 1].
    """
    scores = [prediction.score for prediction in predictions]
    mean_map = torch.stack([prediction.anomaly_map for prediction in predictions]).mean(dim=0)
    if fusion == "paper":
        return Prediction(torch.stack(scores).mean(dim=0), smooth(mean_map))
    if alignment is None:
        anomaly_map = smooth(mean_map)
        return Prediction(torch.stack([*scores, image_maximum(anomaly_map)]).mean(dim=0), anomaly_map)
    anomaly_map = smooth(harmonic_mean([mean_map, alignment]))
    return Prediction(harmonic_mean([torch.stack(scores).mean(dim=0), image_maximum(anomaly_map)]), anomaly_map)


def image_maximum(maps: torch.Tensor) -> torch.Tensor:
    """Largest value of each ``(B, 1, H, W)`` map: ``(B,)``."""
    return maps.amax(dim=(1, 2, 3))
