# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds and sensitivities by argument."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.engine import Engine
from anomalib.post_processing import PostProcessor

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, SyntheticDefects

IMAGES = torch.rand(4, 3, 56, 56, generator=torch.Generator().manual_seed(0))


def tiny(**options: Any) -> AdaptCLIP:
    defaults: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": 56, "visualizer": False}
    return AdaptCLIP(**defaults | options).eval()


def raw(model: AdaptCLIP) -> Any:
    assert model.pre_processor is not None
    return model.model(model.pre_processor(IMAGES))


@pytest.fixture
def middle() -> tuple[float, float]:
    """Thresholds that part the raw scores and maps of the images."""
    output = raw(tiny())
    return output.pred_score.sort().values[1:3].mean().item(), output.anomaly_map.median().item()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)


def test_labels_are_those_of_raw_scores_by_every_way(
    middle: tuple[float, float], write_images: Callable[..., Path], engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    options = {"image_threshold": middle[0], "pixel_threshold": middle[1]}
    model = tiny(**options)
    expected = raw(model)
    for found in (model(IMAGES), AdaptCLIPPredictor(tiny(**options))(IMAGES)):
        assert torch.equal(torch.as_tensor(found.pred_label), expected.pred_score > middle[0])
        assert (found.pred_mask == (expected.anomaly_map > middle[1])).float().mean() > 0.999
    query = write_images("query", 2)
    batches: Any = engine.predict(tiny(image_threshold=0.0), data_path=query)
    assert [batch.pred_label.tolist() for batch in batches] == [[True], [True]]
    assert "Nothing was calibrated" not in caplog.text


def test_a_pixel_threshold_alone_does_not_calibrate_images(caplog: pytest.LogCaptureFixture) -> None:
    found = AdaptCLIPPredictor(tiny(pixel_threshold=0.9))(IMAGES)
    assert "Nothing was calibrated" in caplog.text
    torch.testing.assert_close(found.pred_score, raw(tiny()).pred_score)


def test_they_come_before_those_that_are_found(tmp_path: Path, engine: Engine) -> None:
    data = SyntheticDefects(
        tmp_path / "data", "gear", image_size=64, num_train_images=4, num_normal_test_images=2, num_images_per_defect=1
    )
    for options in ({}, {"k_shot": 4, "calibration": "normal"}):
        model: Any = tiny(image_threshold=0.125, **options)
        engine.validate(model, datamodule=data)
        assert model.post_processor.image_threshold.item() == 0.125
        assert 0 < model.post_processor.pixel_threshold.item() != 0.125
    path = engine.trainer.checkpoint_callback.best_model_path  # type: ignore[union-attr]
    given: Any = AdaptCLIP.load_from_checkpoint(path, image_threshold=0.25)
    assert given.post_processor.image_threshold.item() == 0.25
    assert given.post_processor.pixel_threshold == model.post_processor.pixel_threshold
    own: Any = AdaptCLIP.load_from_checkpoint(path, post_processor=PostProcessor(image_sensitivity=0.75))
    assert own.post_processor.image_sensitivity == 0.75
    assert own.post_processor.image_threshold.item() == 0.125
    beside = tiny()  # as a command line has it, which hands over defaults
    engine.validate(beside, datamodule=data, ckpt_path=path)
    assert beside.post_processor is not None
    assert beside.post_processor.image_threshold.item() == 0.125


def test_sensitivities_move_the_labels(middle: tuple[float, float]) -> None:
    options = {"image_threshold": middle[0], "pixel_threshold": middle[1]}
    for sensitivity, expected in ((0.0, False), (1.0, True)):
        found = tiny(**options, image_sensitivity=sensitivity, pixel_sensitivity=sensitivity)(IMAGES)
        assert found.pred_label.tolist() == [expected] * 4
        assert found.pred_mask.all().item() is expected or found.pred_mask.any().item() is expected


@pytest.mark.parametrize("name", ["image_threshold", "pixel_threshold", "image_sensitivity", "pixel_sensitivity"])
def test_wrong_arguments(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomalib_adaptclip.model.lightning_model.load_clip", lambda *_: pytest.fail("too late"))
    for value in (-0.1, 1.5):
        with pytest.raises(ValueError, match=rf"{name} must be in \[0, 1\], as scores and maps are; got {value}"):
            tiny(**{name: value})
    with pytest.raises(ValueError, match=rf"{name} must be a finite number or None; got 'high'"):
        tiny(**{name: "high"})
    with pytest.raises(ValueError, match=rf"\['{name}'\] are of anomalib's PostProcessor, and there is none"):
        tiny(**{name: 0.5}, post_processor=False)


def test_thresholds_need_normalisation() -> None:
    with pytest.raises(ValueError, match="need a PostProcessor with normalisation"):
        tiny(image_threshold=0.6, post_processor=PostProcessor(enable_normalization=False))
