# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From normalised scores back to raw ones, whatever the post-processor does."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from anomalib.data import InferenceBatch
from anomalib.post_processing import PostProcessor
from torch import nn

from anomalib_adaptclip.model.calibration import CalibrationRecord
from anomalib_adaptclip.model.post_processor import AdaptCLIPPostProcessor
from anomalib_adaptclip.model.thresholds import NormalScores, Thresholds, set_thresholds
from anomalib_adaptclip.results.image_result import RawInferenceBatch
from anomalib_adaptclip.results.prediction_row import prediction_rows
from anomalib_adaptclip.results.score_scale import ScoreScale, score_scale

RAW = InferenceBatch(pred_score=torch.tensor([0.1, 0.3, 0.6]), anomaly_map=torch.linspace(0, 1, 12).view(3, 1, 2, 2))


def calibrated(**options: Any) -> PostProcessor:
    post_processor = AdaptCLIPPostProcessor(**options)
    set_thresholds(post_processor, Thresholds(0.25, 0.75))
    return post_processor


def scale_of(post_processor: nn.Module | None, **others: Any) -> ScoreScale:
    return score_scale(SimpleNamespace(post_processor=post_processor, **others))


@pytest.mark.parametrize("sensitivity", [0.5, 0.4, 0.55])
def test_raw_scores_come_back_and_part_at_the_raw_threshold(sensitivity: float) -> None:
    post_processor = calibrated(image_sensitivity=sensitivity)
    rows = prediction_rows(["a", "b", "c"], post_processor(RAW), scale=scale_of(post_processor))
    torch.testing.assert_close([row.raw_score for row in rows], [0.1, 0.3, 0.6], rtol=0, atol=1e-6)
    for row in rows:
        assert row.raw_score is not None
        assert row.raw_threshold is not None
        assert row.label == (row.raw_score > row.raw_threshold)
    if sensitivity == 0.5:
        assert rows[0].raw_threshold == pytest.approx(0.25)


def test_maps_come_back() -> None:
    post_processor = calibrated()
    scale = scale_of(post_processor)
    assert scale.pixel is not None
    assert scale.pixel.threshold == pytest.approx(0.75)
    torch.testing.assert_close(scale.pixel.undo(post_processor(RAW).anomaly_map), RAW.anomaly_map)


@pytest.mark.parametrize("post_processor", [None, PostProcessor(), AdaptCLIPPostProcessor(), calibrated()])
def test_without_calibration_nothing_is_made_up(post_processor: PostProcessor | None) -> None:
    """A threshold where there is one, and the share of normal images nowhere."""
    output = post_processor(RAW) if post_processor else RAW
    rows = prediction_rows(["a", "b", "c"], output, scale=scale_of(post_processor))
    torch.testing.assert_close([row.raw_score for row in rows], [0.1, 0.3, 0.6], rtol=0, atol=1e-6)
    is_calibrated = post_processor is not None and not post_processor.image_threshold.isnan()
    assert all((row.raw_threshold is not None) == is_calibrated for row in rows)
    assert {row.normal_share for row in rows} == {None}


def test_of_another_post_processor_nothing_is_known() -> None:
    [row] = prediction_rows(["a"], InferenceBatch(pred_score=torch.tensor([0.5])), scale=scale_of(nn.Identity()))
    assert (row.raw_score, row.raw_threshold, row.normal_share) == (None, None, None)


def test_thresholds_without_normalisation() -> None:
    post_processor = calibrated(enable_normalization=False, image_sensitivity=0.8)
    rows = prediction_rows(["a", "b", "c"], post_processor(RAW), scale=scale_of(post_processor))
    assert [row.raw_score for row in rows] == [row.score for row in rows]
    assert [row.label for row in rows] == [0, 1, 1]
    assert rows[0].raw_threshold == pytest.approx(0.2)


def test_without_thresholding_there_is_none() -> None:
    post_processor = calibrated(enable_thresholding=False)
    row, *_ = prediction_rows(["a", "b", "c"], post_processor(RAW), scale=scale_of(post_processor))
    assert (row.label, row.raw_threshold) == (None, None)


def test_what_was_clamped_is_known_from_before() -> None:
    """The largest scores of a validation set do not bound those of later images."""
    post_processor = AdaptCLIPPostProcessor()
    for name, value in {"_image_threshold": 0.2, "image_min": 0.1, "image_max": 0.3}.items():
        getattr(post_processor, name).fill_(value)
    output = RawInferenceBatch(*post_processor(RAW))
    output.raw = RAW
    rows = prediction_rows(["a", "b", "c"], output, scale=scale_of(post_processor))
    assert rows[2].score == 1
    torch.testing.assert_close([row.raw_score for row in rows], [0.1, 0.3, 0.6], rtol=0, atol=1e-6)


def test_the_share_of_normal_images_is_that_of_the_calibration() -> None:
    normal = NormalScores(mean=-2.0, deviation=0.5, images=8)
    record = CalibrationRecord((), 0.1, normal, normal)
    post_processor = calibrated()
    set_thresholds(post_processor, record.thresholds)
    scale = scale_of(post_processor, calibrator=SimpleNamespace(record=record))
    at_threshold = InferenceBatch(pred_score=torch.tensor([record.thresholds.image, normal.typical]))
    rows = prediction_rows(["a", "b"], post_processor(at_threshold), scale=scale)
    torch.testing.assert_close([row.normal_share for row in rows], [0.1, 0.5], rtol=0, atol=1e-5)
