# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds that few normal images imply, and how a post-processor gets them.

Letters: K normal images, A variants of each.
"""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import torch
from anomalib.post_processing import PostProcessor
from scipy.stats import t as student

from anomalib_adaptclip.results.score_scale import around

logger = logging.getLogger(__name__)

_SMALLEST = 1e-6  # probabilities nearer to 0 or 1 have the log-odds of this one


class Thresholds(NamedTuple):
    """What a new normal image exceeds at the chosen rate only.

    Attributes:
        image: Threshold of the image score, in (0, 1).
        pixel: Threshold of the map, in (0, 1): what the largest value of its map exceeds at that rate.
    """

    image: float
    pixel: float


class NormalScores(NamedTuple):
    """How normal images score: log-odds, normally distributed, known from few images.

    Attributes:
        mean: Mean of the log-odds.
        deviation: Standard deviation of a new image's distance from that mean.
        images: Number of images that both were estimated on, at least 2.
    """

    mean: float
    deviation: float
    images: int

    @property
    def typical(self) -> float:
        """Score of a typical normal image, in (0, 1)."""
        return float(torch.tensor(self.mean, dtype=torch.float64).sigmoid())

    def bound(self, rate: float) -> float:
        """What a new image exceeds at a rate: an upper prediction bound, in (0, 1).

        Mean and deviation are estimates, for which the quantile of Student's t makes up: without it far more than the
        rate would exceed the bound that few images give.

        Args:
            rate: Share of new images that may exceed the bound, in (0, 1).
        """
        odds = self.mean + float(student.ppf(1 - rate, self.images - 1)) * self.deviation
        return float(torch.tensor(odds, dtype=torch.float64).sigmoid())

    def share_above(self, score: float) -> float:
        """Share of new normal images that are expected to score as high, in [0, 1]; the inverse of :meth:`bound`.

        Args:
            score: Score in [0, 1].
        """
        odds = float(torch.tensor(score, dtype=torch.float64).clamp(_SMALLEST, 1 - _SMALLEST).logit())
        if self.deviation == 0:
            return float(odds <= self.mean)
        return float(student.sf((odds - self.mean) / self.deviation, self.images - 1))


def normal_scores(values: torch.Tensor) -> NormalScores:
    """Estimate how normal images score, from few.

    The mean is that of the images themselves, for a variant may be a little less normal throughout; the variance is
    estimated on all variants.

    Args:
        values: ``(K, A)`` in [0, 1], A variants of K images, K at least 2, each image itself first.
    """
    odds = values.double().clamp(_SMALLEST, 1 - _SMALLEST).logit()
    images = len(odds)
    variance = odds.var(dim=0).mean() * (1 + 1 / images)  # of a new image's distance from the mean
    return NormalScores(float(odds[:, 0].mean()), float(variance.sqrt()), images)


def set_thresholds(post_processor: PostProcessor, thresholds: Thresholds) -> None:
    """Give a post-processor its thresholds.

    Args:
        post_processor: Changed in place.
        thresholds: Thresholds of images and pixels.
    """
    fill_thresholds(post_processor.state_dict(), thresholds._asdict())  # it shares its tensors


def fill_thresholds(state: Mapping[str, torch.Tensor], thresholds: Mapping[str, float]) -> None:
    """Put thresholds into the state of anomalib's post-processor, in place.

    Scores are normalised such that the threshold becomes 0.5, and so that nothing is clamped: the order of images
    stays.

    Args:
        state: Tensors by name.
        thresholds: Thresholds by ``"image"`` and ``"pixel"``, both or one of them.
    """
    for name, threshold in thresholds.items():
        low, high = around(threshold).undo(0.0), around(threshold).undo(1.0)
        values = {f"_{name}_threshold": threshold, f"{name}_min": low, f"{name}_max": high}
        for key, value in values.items():
            state[key].fill_(value)


def takes_thresholds(post_processor: object) -> bool:
    """Whether it is anomalib's post-processor, which normalises, and has no thresholds yet."""
    return (
        isinstance(post_processor, PostProcessor)
        and post_processor.enable_normalization
        and bool(torch.stack([*post_processor.state_dict().values()]).isnan().all())
    )


def adopt_thresholds(post_processor: object, saved: Mapping[str, torch.Tensor]) -> None:
    """Give a post-processor the thresholds of another one, of images and of pixels, unless it has some.

    Its sensitivities and flags stay.

    Args:
        post_processor: Changed in place, if it is anomalib's.
        saved: State of the other.
    """
    if isinstance(post_processor, PostProcessor):
        own = post_processor.state_dict()  # it shares its tensors
        for kind in Thresholds._fields:
            names = [name for name in own if kind in name]
            if all(own[name].isnan().all() for name in names):
                for name in own.keys() & saved.keys() & {*names}:
                    own[name].copy_(saved[name])


def warn_if_uncalibrated(post_processor: object) -> None:
    """Tell if anomalib's post-processor has no thresholds."""
    if isinstance(post_processor, PostProcessor) and post_processor._image_threshold.isnan():  # noqa: SLF001  # no pixel threshold in its place
        logger.warning(
            "Nothing was calibrated, for want of validation data: scores and maps are raw, in [0, 1], and rank images; "
            "labels, which part at 0.5, say nothing. Validate on a data module, or predict from such a checkpoint, to "
            "calibrate."
        )
