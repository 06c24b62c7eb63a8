# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds that can be moved, and what each stands for.

Letters: H and W pixels of a photo, h and w of its map.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from anomalib_adaptclip.model.calibration import CalibrationRecord
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.results.heat_scale import HeatScale, calibrated_scale, heat_scale
from anomalib_adaptclip.results.picture import Verdict
from anomalib_adaptclip.results.score_scale import Normalization, ScoreScale, around, calibration_record, score_scale

RATES = (1e-9, 1 - 1e-9)  # beyond them quantiles are not exact
_MARGIN = 0.05  # of the span of scores, beyond them
_LEAST_SPAN = 0.2  # in log-odds
_SMALLEST = 1e-6  # scores nearer to 0 or 1 have the log-odds of this one
STEPS = 200  # of a span


class Level(NamedTuple):
    """Where images and pixels part.

    Attributes:
        image: Raw score that abnormal images exceed; None without calibration.
        pixel: Raw value that abnormal pixels exceed; None without calibration.
        heat: Colours of maps.
    """

    image: float | None
    pixel: float | None
    heat: HeatScale

    def label(self, score: float) -> int | None:
        """1 for an abnormal score, 0 for a good one, None without a threshold."""
        return None if self.image is None else int(score > self.image)

    def normalized(self, score: float) -> float:
        """The score in a table: shifted such that the threshold becomes 0.5, if there is one."""
        return score if self.image is None else around(self.image).apply(score)


@dataclass(frozen=True)
class Levels:
    """The levels that a model allows.

    Attributes:
        start: The calibrated one.
        record: How good photos score; None where they were not calibrated on.
    """

    start: Level
    record: CalibrationRecord | None

    @property
    def is_calibrated(self) -> bool:
        """Whether there is a threshold to move."""
        return self.start.image is not None

    def at(self, threshold: float | None) -> Level:
        """The level of an image threshold.

        Pixels part where as many good photos exceed their threshold; without a record they part where they did.

        Args:
            threshold: Raw score that abnormal images exceed; None for the calibrated one.
        """
        if threshold is None or not self.is_calibrated or threshold == self.start.image:
            return self.start
        if self.record is None:
            return self.start._replace(image=threshold)
        pixel = self.record.pixel.bound(min(max(self.record.image.share_above(threshold), RATES[0]), RATES[1]))
        return Level(threshold, pixel, calibrated_scale(pixel, self.record.pixel))

    def share(self, score: float | None) -> float | None:
        """Share of good photos that are expected to score as high, in [0, 1]; None where it is not known."""
        return None if self.record is None or score is None else self.record.image.share_above(score)

    def verdict(self, score: float, level: Level) -> Verdict:
        """What is said of a photo at a level."""
        label = level.label(score)
        return Verdict(score, level.image, None if label is None else bool(label), self.share(score))

    def scale(self, level: Level) -> ScoreScale:
        """What a table says of scores at a level."""
        share = self.record.image.share_above if self.record else None
        return ScoreScale(Normalization(threshold=level.image), Normalization(threshold=level.pixel), share)

    def span(self, scores: Sequence[float]) -> "Span":
        """Thresholds that make a difference among scores."""
        odds = [_log_odds(score) for score in (*scores, self.start.image) if score is not None]
        margin = max((max(odds) - min(odds)) * _MARGIN, _LEAST_SPAN / 2)
        return Span(min(odds) - margin, max(odds) + margin)


class Span(NamedTuple):
    """Thresholds between two, evenly spaced in log-odds, in which normal scores lie evenly around their mean.

    Attributes:
        low: Log-odds of the lowest.
        high: Log-odds of the highest.
    """

    low: float
    high: float

    def position(self, threshold: float) -> int:
        """The place of a threshold, from 0 to ``STEPS``."""
        return round((_log_odds(threshold) - self.low) / (self.high - self.low) * STEPS)

    def threshold(self, position: int) -> float:
        """The threshold at a place."""
        odds = self.low + position / STEPS * (self.high - self.low)
        return float(torch.tensor(odds, dtype=torch.float64).sigmoid())


def _log_odds(score: float) -> float:
    return float(torch.tensor(score, dtype=torch.float64).clamp(_SMALLEST, 1 - _SMALLEST).logit())


def levels_of(model: AdaptCLIP, category: str | None = None) -> Levels:
    """Read the levels of a model that is ready to predict.

    Args:
        model: The model.
        category: What is judged, where the model has a prompt bank.
    """
    scale = score_scale(model, category)
    image, pixel = (own.threshold if own else None for own in (scale.image, scale.pixel))
    heat = HeatScale() if pixel is None else heat_scale(model, category)
    return Levels(Level(image, pixel, heat), calibration_record(model, category))
