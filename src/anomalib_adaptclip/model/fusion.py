# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Fusion: from the outputs of the adapters to one score and one map.

All scores and maps are probabilities or alignment scores: 0 is normal, 1 abnormal.
Letters: B batch, H and W pixels.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

import torch

from anomalib_adaptclip.adapters import AdapterOutput

from .anomaly_map import smooth, upsample
from .tiling import Inside

Fusion = Literal["published", "paper", "log_odds"]

LEAST = 1e-4  # probability at which log-odds end: that of a patch that equals a good one would be minus infinity


class Prediction(NamedTuple):
    """Score and map of a batch.

    Attributes:
        score: Score of each image, ``(B,)``.
        anomaly_map: Score of each pixel, ``(B, 1, H, W)``.
    """

    score: torch.Tensor
    anomaly_map: torch.Tensor


def average_layers(outputs: Sequence[AdapterOutput], size: tuple[int, int], inside: Inside | None = None) -> Prediction:
    """Average one adapter's outputs, one a layer, and bring the map to ``size`` pixels, 0 outside what counts."""
    scores = torch.stack([output.score for output in outputs])
    maps = (upsample(output.patch_probabilities, size, inside) for output in outputs)
    return Prediction(scores.mean(dim=0), _mean(maps))


def alignment_map(scores: Sequence[torch.Tensor], size: tuple[int, int], inside: Inside | None = None) -> torch.Tensor:
    """Fuse the alignment scores ``(B, 1, rows, columns)`` of all layers by their harmonic mean: ``(B, 1, H, W)``."""
    return harmonic_mean(upsample(layer, size, inside) for layer in scores)


def harmonic_mean(values: Iterable[torch.Tensor]) -> torch.Tensor:
    """Element-wise harmonic mean of tensors of one shape.

    Args:
        values: Tensors of values of at least 0; rounding below 0 is clamped.

    Returns:
        Their harmonic mean. It is 0 wherever one of them is 0.
    """
    # 1 / 0 is infinite and its reciprocal is 0, so zeros need no case of their own
    return _mean(value.clamp(min=0).reciprocal() for value in values).reciprocal()


def log_odds_mean(values: Iterable[torch.Tensor]) -> torch.Tensor:
    """Average probabilities of one shape by their log-odds, so that none counts for more because it is smaller.

    Args:
        values: Tensors of values in [0, 1]. What is beyond :data:`LEAST`, or one minus it, counts as that.

    Returns:
        The probability of the mean log-odds.
    """
    return _mean(value.logit(eps=LEAST) for value in values).sigmoid()


def _mean(values: Iterable[torch.Tensor]) -> torch.Tensor:
    """Mean of tensors of one shape, of which no more than two are in memory at a time: maps may be large."""
    remaining = iter(values)
    total, count = next(remaining), 1
    for value in remaining:
        total, count = total + value, count + 1
    return total / count


def fuse(
    predictions: Mapping[str, Prediction],
    alignment: torch.Tensor | None,
    fusion: Fusion,
    inside: Inside | None = None,
) -> Prediction:
    """Fuse what the adapters say into the final score and map.

    As published: zero-shot, the map is the smoothed mean map, and its maximum counts as one more score. Few-shot, the
    mean map is fused with the alignment map, and the mean score with the maximum of the final map, by harmonic means.
    ``"paper"``: plain averages, as the paper's section on training and inference has it.

    ``"log_odds"``, which is not the paper's: a harmonic mean follows the far smaller of two numbers, so the image score
    hardly counts beside the map's maximum. Means of log-odds treat both alike, see :func:`fuse_log_odds`.

    Args:
        predictions: Predictions of the adapters that are present, by name, at least one.
        alignment: Alignment map ``(B, 1, H, W)``, ``None`` for zero-shot.
        fusion: How.
        inside: What is judged, all by default.

    Returns:
        Score ``(B,)`` and map ``(B, 1, H, W)``, both in [0, 1]; the map is 0 outside.
    """
    if fusion == "log_odds":
        return fuse_log_odds(predictions, alignment, inside)
    scores = [prediction.score for prediction in predictions.values()]
    mean_map = average_map(predictions)
    if fusion == "paper":
        return Prediction(torch.stack(scores).mean(dim=0), smooth(mean_map, inside))
    if alignment is None:
        anomaly_map = smooth(mean_map, inside)
        return Prediction(torch.stack([*scores, image_maximum(anomaly_map)]).mean(dim=0), anomaly_map)
    anomaly_map = smooth(harmonic_mean([mean_map, alignment]), inside)
    return Prediction(harmonic_mean([torch.stack(scores).mean(dim=0), image_maximum(anomaly_map)]), anomaly_map)


def fuse_log_odds(
    predictions: Mapping[str, Prediction], alignment: torch.Tensor | None, inside: Inside | None = None
) -> Prediction:
    """Fuse by means of log-odds.

    Zero-shot, the map is the smoothed mean map, and the score the mean of the adapters' scores and its maximum.
    Few-shot, the map is the mean of the adapters' mean map and the alignment map, which counts twice; the score that of
    the prompt-query adapter's score, the maximum of the smoothed alignment map, and that of the map.

    Args:
        predictions: As for :func:`fuse`. Without a prompt-query adapter the mean of the scores stands for its score.
        alignment: As for :func:`fuse`.
        inside: As for :func:`fuse`.
    """
    scores = [prediction.score for prediction in predictions.values()]
    mean_map = average_map(predictions)
    if alignment is None:
        anomaly_map = smooth(mean_map, inside)
        return Prediction(log_odds_mean([*scores, image_maximum(anomaly_map)]), anomaly_map)
    seen = predictions["prompt_query"].score if "prompt_query" in predictions else torch.stack(scores).mean(dim=0)
    anomaly_map = smooth(log_odds_mean([mean_map, alignment, alignment]), inside)
    heights = [image_maximum(smooth(alignment, inside)), image_maximum(anomaly_map)]
    return Prediction(log_odds_mean([seen, *heights]), anomaly_map)


def average_map(predictions: Mapping[str, Prediction]) -> torch.Tensor:
    """Mean ``(B, 1, H, W)`` of the adapters' maps."""
    return _mean(prediction.anomaly_map for prediction in predictions.values())


def image_maximum(maps: torch.Tensor) -> torch.Tensor:
    """Largest value of each ``(B, 1, H, W)`` map: ``(B,)``."""
    return maps.amax(dim=(1, 2, 3))
