# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds that can be moved."""

import pytest

from anomalib_adaptclip.app.levels import STEPS, Level, Levels
from anomalib_adaptclip.model.calibration import CalibrationRecord
from anomalib_adaptclip.model.thresholds import NormalScores
from anomalib_adaptclip.results.heat_scale import HeatScale, calibrated_scale

RECORD = CalibrationRecord(("a", "b"), 0.1, NormalScores(-4.0, 0.5, 8), NormalScores(-2.0, 0.7, 8))
IMAGE, PIXEL = RECORD.thresholds
LEVELS = Levels(Level(IMAGE, PIXEL, calibrated_scale(PIXEL, RECORD.pixel)), RECORD)


def test_pixels_part_at_the_same_share_of_good_photos() -> None:
    threshold = RECORD.image.bound(0.02)
    level = LEVELS.at(threshold)
    assert level.image == threshold
    assert level.pixel == pytest.approx(RECORD.pixel.bound(0.02))
    assert level.heat.threshold == level.pixel
    assert LEVELS.share(threshold) == pytest.approx(0.02)


def test_the_calibrated_level_is_what_it_was() -> None:
    assert LEVELS.at(None) is LEVELS.at(IMAGE) is LEVELS.start


@pytest.mark.parametrize("threshold", [0.0, 1e-9, 0.5, 1 - 1e-9, 1.0])
def test_any_threshold_has_colours(threshold: float) -> None:
    level = LEVELS.at(threshold)
    assert level.pixel is not None
    assert 0 <= level.pixel <= 1
    assert level.heat.typical < level.heat.middle < level.heat.end


def test_without_a_record_pixels_part_where_they_did() -> None:
    levels = Levels(Level(0.4, 0.3, HeatScale(0.0, 0.3, 1.0)), None)
    assert levels.at(0.6) == Level(0.6, 0.3, HeatScale(0.0, 0.3, 1.0))
    assert levels.share(0.6) is None


def test_without_calibration_there_is_nothing_to_move() -> None:
    levels = Levels(Level(None, None, HeatScale()), None)
    assert not levels.is_calibrated
    assert levels.at(0.6) is levels.start
    assert levels.verdict(0.7, levels.start).word == "no verdict"
    assert levels.start.normalized(0.7) == 0.7


def test_a_score_at_the_threshold_is_good() -> None:
    level = Level(0.4, 0.3, HeatScale())
    assert (level.label(0.4), level.label(0.41)) == (0, 1)
    assert level.normalized(0.4) == pytest.approx(0.5)


def test_the_slider_reaches_beyond_all_scores() -> None:
    span = LEVELS.span([1e-4, 0.3])
    assert span.threshold(0) < 1e-4
    assert span.threshold(STEPS) > 0.3
    assert 0 < span.position(IMAGE) < STEPS
    places = range(0, STEPS + 1, 20)
    assert [span.position(span.threshold(place)) for place in places] == [*places]


@pytest.mark.parametrize("scores", [[0.0, 1.0], [0.5], [0.3, 0.3]])
def test_a_span_has_a_width(scores: list[float]) -> None:
    span = Levels(Level(0.3, 0.3, HeatScale()), None).span(scores)
    assert span.low < span.high
    assert span.threshold(0) < min(0.3, *scores) or min(scores) == 0
