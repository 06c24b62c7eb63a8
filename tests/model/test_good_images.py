# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Good images and nothing else: prompts, thresholds and a checkpoint, and no figures that do not exist."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.data import Folder
from anomalib.data.utils import ValSplitMode
from anomalib.engine import Engine
from PIL import Image

from anomalib_adaptclip import AdaptCLIP
from anomalib_adaptclip.data.good_images import keep_good_images

WriteImages = Callable[..., Path]

METRICS = {f"image_{name}" for name in ("AUROC", "AUPR", "F1Max")}
SPLITS: list[dict[str, str]] = [
    {},
    {"test_split_mode": "none"},
    {"val_split_mode": "none"},
    {"val_split_mode": "same_as_test"},
    {"test_split_mode": "none", "val_split_mode": "none"},
]


def tiny(**options: Any) -> AdaptCLIP:
    return AdaptCLIP(backbone="tiny", pretrained="seed-0", image_size=56, visualizer=False, **options)


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[], Engine]:
    quiet: dict[str, Any] = {"enable_progress_bar": False}
    return lambda: Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1, **quiet)


def folder(normal: Path, **options: Any) -> Folder:
    return Folder("mine", normal, **{"num_workers": 0, "seed": 0} | options)


def saved_by(engine: Engine) -> Path:
    return Path(engine.trainer.default_root_dir) / "weights" / "lightning" / "model.ckpt"


@pytest.mark.parametrize("images", [2, 4, 8])
@pytest.mark.parametrize("splits", SPLITS)
def test_all_good_images_become_prompts_with_thresholds(
    images: int, splits: dict[str, str], write_images: WriteImages, engine: Any
) -> None:
    data, trainer = folder(write_images("good", images), **splits), engine()
    model = tiny(k_shot=images, calibration="normal")
    assert trainer.train(model, datamodule=data) == []
    restored: Any = AdaptCLIP.load_from_checkpoint(saved_by(trainer), map_location="cpu")
    assert restored.prompt_files == sorted(data.train_data.samples.image_path)
    assert len(set(model.prompt_files)) == images
    assert restored.post_processor.image_threshold.isfinite()


@pytest.mark.parametrize("run", ["fit", "train"])
def test_one_good_image_is_a_prompt(run: str, write_images: WriteImages, engine: Any) -> None:
    trainer = engine()
    getattr(trainer, run)(tiny(k_shot=1), datamodule=folder(write_images("good", 1)))
    restored: Any = AdaptCLIP.load_from_checkpoint(saved_by(trainer), map_location="cpu")
    assert len(restored.prompt_files) == restored.model.prompt_memory.k_shot == 1
    assert restored.post_processor.image_threshold.isnan()


def test_the_log_tells_what_is_kept(write_images: WriteImages, engine: Any, caplog: pytest.LogCaptureFixture) -> None:
    trainer = engine()
    with caplog.at_level(logging.INFO):
        trainer.train(tiny(k_shot=2, calibration="normal"), datamodule=folder(write_images("good", 2)))
    assert "mine has 2 good images and no others: all are kept for prompts." in caplog.text
    told = f"There are no validation images. Kept in {saved_by(trainer)}: prompts (2), and their thresholds."
    assert told in caplog.text
    assert "There are no test images: nothing is tested." in caplog.text


def test_prediction_from_the_checkpoint_is_that_of_the_model(write_images: WriteImages, engine: Any) -> None:
    trainer, queries = engine(), write_images("query", 2)
    model = tiny(k_shot=4, calibration="normal")
    trainer.fit(model, datamodule=folder(write_images("good", 4)))
    fitted, restored = (
        torch.cat([batch.pred_score for batch in engine().predict(one, data_path=queries, ckpt_path=path)])
        for one, path in ((model, None), (tiny(), saved_by(trainer)))
    )
    torch.testing.assert_close(fitted, restored)


def test_thresholds_stay_those_of_the_prompts_where_good_images_are_validated(
    write_images: WriteImages, engine: Any
) -> None:
    model = tiny(k_shot=4, calibration="normal")
    engine().fit(model, datamodule=folder(write_images("good", 12)))
    assert model.calibrator is not None
    assert model.calibrator.record is not None
    assert model.post_processor is not None
    assert model.post_processor.image_threshold.item() == pytest.approx(model.calibrator.record.thresholds.image)


# Splits


@pytest.mark.parametrize(("images", "k_shot"), [(12, 4), (100, 8)])
def test_enough_good_images_are_split_as_ever(images: int, k_shot: int, write_images: WriteImages) -> None:
    data = folder(write_images("good", images, (8, 8)))
    keep_good_images(data, k_shot)
    assert (data.test_split_mode, data.val_split_mode) == ("from_dir", ValSplitMode.FROM_TEST)


@pytest.mark.parametrize("argument", ["abnormal_dir", "normal_test_dir"])
def test_data_with_test_images_is_split_as_ever(argument: str, write_images: WriteImages) -> None:
    data = folder(write_images("good", 4), **{argument: write_images("other", 4)})
    keep_good_images(data, 4)
    assert (data.test_split_mode, data.val_split_mode) == ("from_dir", ValSplitMode.FROM_TEST)


def test_too_few_images_for_synthetic_ones(write_images: WriteImages, engine: Any) -> None:
    data = folder(write_images("good", 2), test_split_mode="synthetic")
    with pytest.raises(ValueError, match=r"mine has too few: 2. .* --data.test_split_mode none"):
        engine().train(tiny(k_shot=1), datamodule=data)


# Metrics of one class


@pytest.mark.parametrize(
    ("argument", "options", "missing"),
    [("normal_test_dir", {}, "abnormal"), ("abnormal_dir", {"test_split_ratio": 0.01}, "normal")],
)
@pytest.mark.filterwarnings("ignore:No negative samples:UserWarning")  # of anomalib's threshold
def test_metrics_that_do_not_exist_are_left_out(
    argument: str, options: dict[str, Any], missing: str, write_images: WriteImages, engine: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    data = folder(write_images("good", 4), **{argument: write_images("other", 3)}, **options)
    metrics = engine().train(tiny(k_shot=2), datamodule=data)
    assert metrics == [{}]
    told = f"The test data has no {missing} images: image_AUROC, image_AUPR, image_F1Max do not exist and are left out."
    assert caplog.text.count(told) == 1


def test_metrics_come_back_with_both_classes(write_images: WriteImages, engine: Any) -> None:
    """The same model, and the same engine, after a test that had none."""
    good, bad = write_images("good", 8), write_images("bad", 2)
    model, one = tiny(k_shot=1), engine()
    one.train(model, datamodule=folder(good, normal_test_dir=bad, val_split_mode="none"))
    [metrics] = one.test(model, datamodule=folder(good, abnormal_dir=bad, val_split_mode="none"))
    assert set(metrics) == METRICS


def test_masks_without_a_defect_leave_the_pixels_out(
    write_images: WriteImages, engine: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good, bad = write_images("good", 8), write_images("bad", 2)
    (tmp_path / "masks").mkdir()
    for path in bad.iterdir():
        Image.new("L", (48, 40)).save(tmp_path / "masks" / path.name)
    data = folder(good, abnormal_dir=bad, mask_dir=tmp_path / "masks", val_split_mode="none")
    [metrics] = engine().train(tiny(k_shot=1), datamodule=data)
    assert set(metrics) == METRICS
    assert "The test data has no abnormal pixels: pixel_AUROC" in caplog.text
