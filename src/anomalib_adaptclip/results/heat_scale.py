# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Colours of heat maps that mean the same in all pictures of a run: anchored at what is normal and at the threshold."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from matplotlib import colormaps
from numpy.typing import NDArray

from .score_scale import calibration_record, score_scale

COLOUR_MAP = "inferno"  # its brightness rises evenly, so that the colour-blind can read it too
_OPACITY = ([0.0, 0.5, 1.0], [0.0, 0.55, 0.9])  # of positions on the scale
_BEYOND = 2.0  # the end is so much farther beyond the threshold than the typical level is below it
_LEAST_STEP = 1e-4  # between the marks of a scale
_SMALLEST = 1e-6  # probabilities nearer to 0 or 1 have the log-odds of this one


@dataclass(frozen=True)
class HeatScale:
    """Where the colours of heat maps lie among the map's raw values.

    Attributes:
        typical: Up to here the heat map is clear: what the maps of good images typically reach.
        threshold: Middle of the colours: pixels above are abnormal. None without calibration.
        end: From here on the colour is saturated.
        is_of_good: Whether the typical level was measured on good images; else it is the lowest value known.

    Raises:
        ValueError: If the three do not ascend.
    """

    typical: float = 0.0
    threshold: float | None = None
    end: float = 1.0
    is_of_good: bool = True

    def __post_init__(self) -> None:
        """Check the order."""
        marks = [mark for mark in (self.typical, self.threshold, self.end) if mark is not None]
        if not all(low < high for low, high in pairwise(marks)):
            msg = f"A heat scale needs typical < threshold < end, all finite; got {marks}."
            raise ValueError(msg)

    @property
    def middle(self) -> float:
        """Value in the middle of the colours; without a threshold a quarter of the way, for most maps stay low."""
        return self.typical + (self.end - self.typical) / 4 if self.threshold is None else self.threshold

    def position(self, values: NDArray[Any]) -> NDArray[Any]:
        """Place raw values on the scale.

        Args:
            values: Raw values of a map, of any shape.

        Returns:
            Of the same shape: 0 at the typical level and below, 0.5 at the middle, 1 at the end and above.
        """
        return np.asarray(np.interp(values, [self.typical, self.middle, self.end], [0, 0.5, 1]))

    def over(self, photo: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
        """Lay the colours of a map over a photo.

        Args:
            photo: ``(H, W, 3)``, uint8.
            values: Raw values ``(H, W)`` of the map.

        Returns:
            ``(H, W, 3)``, uint8.
        """
        position = self.position(values)
        opacity = np.interp(position, *_OPACITY)[..., None]
        blended = photo * (1 - opacity) + colours(position) * opacity
        return np.asarray(blended.round().astype(np.uint8))


def colours(position: NDArray[Any]) -> NDArray[Any]:
    """Colours ``(..., 3)`` from 0 to 255 of positions from 0 to 1."""
    return np.asarray(_table()[(position * 255).round().astype(np.intp)])


@lru_cache
def _table() -> NDArray[Any]:
    return np.asarray(colormaps[COLOUR_MAP](np.linspace(0, 1, 256)))[:, :3] * 255


def heat_scale(model: Any, category: str | None = None) -> HeatScale:  # noqa: ANN401  # the packages below do not know it
    """The scale of a model's heat maps.

    With ``calibration="normal"`` the typical level is what the maps of the good images reach typically when they are
    compared with one another, and the end lies beyond the threshold, in log-odds twice as far as the typical level
    below. With thresholds of another origin the scale goes from the lowest to the largest value that they were found
    on, within [0, 1]. Without calibration it goes from 0 to 1, and its middle is 0.25.

    Args:
        model: An ``AdaptCLIP``, or another model of anomalib.
        category: What the images show, for a model with a prompt bank: each category has a scale of its own there.
    """
    scale = score_scale(model, category).pixel
    threshold = scale.threshold if scale else None
    if threshold is None:
        return HeatScale()
    record = calibration_record(model, category)
    if record is None:
        low, high = float(model.post_processor.pixel_min), float(model.post_processor.pixel_max)
        if math.isnan(low + high):  # a threshold was given, and nothing measured
            low, high = 0.0, 1.0
        return replace(ascending_scale(max(0.0, low), threshold, min(1.0, high)), is_of_good=False)
    return calibrated_scale(threshold, record.pixel)


def calibrated_scale(threshold: float, good: Any) -> HeatScale:  # noqa: ANN401  # the packages below do not know it
    """The scale around a threshold of maps, as :func:`heat_scale` has it for ``calibration="normal"``.

    Args:
        threshold: Raw value that abnormal pixels exceed.
        good: ``NormalScores`` of the largest values of good images' maps.
    """
    step = max(0.0, _logit(threshold) - good.mean)
    end = torch.tensor(_logit(threshold) + _BEYOND * step).sigmoid()
    return ascending_scale(good.typical, threshold, float(end))


def ascending_scale(typical: float, threshold: float, end: float) -> HeatScale:
    """A scale around a threshold, whose other marks keep a distance from it."""
    return HeatScale(min(typical, threshold - _LEAST_STEP), threshold, max(end, threshold + _LEAST_STEP))


def _logit(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).clamp(_SMALLEST, 1 - _SMALLEST).logit())
