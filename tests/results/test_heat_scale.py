# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Colours mean the same in all pictures of a run."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from anomalib.post_processing import PostProcessor

from anomalib_adaptclip.model.calibration import CalibrationRecord
from anomalib_adaptclip.model.thresholds import NormalScores, Thresholds, set_thresholds
from anomalib_adaptclip.results.heat_scale import HeatScale, colours, heat_scale
from anomalib_adaptclip.results.picture import legend_marks

GREY = np.full((1, 3, 3), 90, np.uint8)


def post_processor(threshold: float = 0.3, low: float = 0.1, high: float = 0.8, **options: Any) -> PostProcessor:
    made = PostProcessor(**options)
    for kind in ("image", "pixel"):
        getattr(made, f"_{kind}_threshold").fill_(threshold)
        getattr(made, f"{kind}_min").fill_(low)
        getattr(made, f"{kind}_max").fill_(high)
    return made


def test_anchors() -> None:
    scale = HeatScale(0.1, 0.2, 0.8)
    assert scale.position(np.array([0, 0.1, 0.15, 0.2, 0.5, 0.8, 1])).tolist() == pytest.approx(
        [0, 0, 0.25, 0.5, 0.75, 1, 1]
    )


def test_clear_at_the_typical_level_and_saturated_at_the_end() -> None:
    clear, middle, full = HeatScale(0.1, 0.2, 0.8).over(GREY, np.array([[0.1, 0.2, 0.8]]))[0].astype(float)
    assert clear.tolist() == [90, 90, 90]
    assert middle.tolist() == pytest.approx((90 * 0.45 + colours(np.array(0.5)) * 0.55).tolist(), abs=1)
    assert np.abs(full - colours(np.array(1.0))).max() < 0.1 * 255


def test_brightness_rises_evenly() -> None:
    """For those who see fewer colours."""
    grey = colours(np.linspace(0, 1, 32)) @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) > 0).all()


@pytest.mark.parametrize("marks", [(0.2, 0.1, 0.8), (0.1, 0.9, 0.8), (0.1, math.nan, 0.8), (0.1, 0.1, 0.8)])
def test_marks_must_ascend(marks: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="typical < threshold < end"):
        HeatScale(*marks)


@pytest.mark.parametrize("made", [None, PostProcessor()], ids=["none", "new"])
def test_without_calibration_values_are_raw(made: PostProcessor | None) -> None:
    assert heat_scale(SimpleNamespace(post_processor=made)) == HeatScale(0, None, 1)
    assert HeatScale().middle == 0.25


def test_good_images_set_the_typical_level() -> None:
    made, record = PostProcessor(), CalibrationRecord((), 0.1, NormalScores(-2, 0.3, 8), NormalScores(-3, 0.3, 8))
    set_thresholds(made, Thresholds(*record.thresholds))
    scale = heat_scale(SimpleNamespace(post_processor=made, calibrator=SimpleNamespace(record=record)))
    assert scale.typical == pytest.approx(record.pixel.typical)
    assert legend_marks(scale)[0].startswith("typical good ")
    assert scale.threshold == pytest.approx(record.thresholds.pixel, abs=1e-6)
    odds = [math.log(mark / (1 - mark)) for mark in (scale.typical, scale.middle, scale.end)]
    assert odds[2] - odds[1] == pytest.approx(2 * (odds[1] - odds[0]), rel=1e-4)


def test_labels_set_the_extremes() -> None:
    scale = heat_scale(SimpleNamespace(post_processor=post_processor()))
    assert (scale.typical, scale.threshold, scale.end) == pytest.approx((0.1, 0.3, 0.8))
    assert legend_marks(scale) == ["lowest 0.1", "threshold 0.3", "max 0.8"]


@pytest.mark.parametrize("sensitivity", [0.0, 1.0])
def test_a_threshold_at_the_edge_of_the_scale(sensitivity: float) -> None:
    scale = heat_scale(SimpleNamespace(post_processor=post_processor(pixel_sensitivity=sensitivity)))
    assert scale.typical < scale.middle < scale.end
