# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds from normal images alone."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.engine import Engine
from anomalib.post_processing import PostProcessor

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, SyntheticDefects
from anomalib_adaptclip.model.calibration import CalibrationRecord, Calibrator, make_variants
from anomalib_adaptclip.model.thresholds import NormalScores, Thresholds, normal_scores, set_thresholds

SIZE = 56
RARE: dict[str, Any] = {"calibration": "normal", "false_positive_rate": 0.01}


def tiny(**options: Any) -> AdaptCLIP:
    defaults: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": SIZE, "visualizer": False}
    return AdaptCLIP(**defaults | options)


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[], Engine]:
    return lambda: Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)


@pytest.fixture
def datamodule(tmp_path: Path) -> SyntheticDefects:
    return SyntheticDefects(
        tmp_path / "data", "gear", image_size=64, num_train_images=6, num_normal_test_images=3, num_images_per_defect=1
    )


def thresholds(model: AdaptCLIP) -> tuple[float, float]:
    assert model.post_processor is not None
    return model.post_processor.image_threshold.item(), model.post_processor.pixel_threshold.item()


# The estimate


@pytest.mark.parametrize("images", [2, 4, 8])
@pytest.mark.parametrize("rate", [0.1, 0.3])
def test_new_images_exceed_the_limit_at_the_rate(images: int, rate: float) -> None:
    """On average over draws, however few images; with the quantile of a normal distribution it would be far more."""
    generator = torch.Generator().manual_seed(images)
    draws = (torch.randn(3000, images, 1, generator=generator, dtype=torch.float64) * 0.7 - 2).sigmoid()
    limits = torch.tensor([normal_scores(draw).bound(rate) for draw in draws], dtype=torch.float64).logit()
    above = 0.5 * torch.erfc((limits + 2) / 0.7 / math.sqrt(2))
    assert above.mean().item() == pytest.approx(rate, rel=0.05)


def test_a_limit_by_hand() -> None:
    """Log-odds -1 and 1: mean 0, variance 2, and Student's quantile with one degree of freedom is tan(pi (q - 1/2))."""
    values = torch.tensor([[-1.0], [1.0]]).sigmoid()
    assert normal_scores(values).bound(0.25) == pytest.approx(1 / (1 + math.exp(-math.sqrt(2 * 1.5))))


def test_the_share_of_normal_images_above_a_score() -> None:
    scores = normal_scores(torch.rand(5, 3, generator=torch.Generator().manual_seed(0)))
    for rate in (0.01, 0.1, 0.5, 0.9):
        assert scores.share_above(scores.bound(rate)) == pytest.approx(rate)
    assert scores.share_above(scores.typical) == pytest.approx(0.5)
    assert scores.share_above(0) > 0.99
    assert scores.share_above(1) < 0.01
    alike = normal_scores(torch.full((3, 2), 0.3))
    assert (alike.share_above(0.2), alike.share_above(0.4)) == (1, 0)


def test_variants_tell_of_the_spread_and_not_of_the_mean() -> None:
    """All magnified images may score higher; what counts is how much they differ from one another."""
    odds = torch.tensor([[-2.0, -2.0], [-1.0, -1.0]])
    alike = normal_scores(odds.sigmoid()).bound(0.1)
    assert normal_scores((odds + torch.tensor([0.0, 0.7])).sigmoid()).bound(0.1) == pytest.approx(alike, rel=1e-4)
    assert normal_scores((odds * torch.tensor([1.0, 1.5])).sigmoid()).bound(0.1) > alike + 0.01


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
def test_limits_of_equal_values_are_finite(value: float) -> None:
    assert normal_scores(torch.full((3, 2), value)).bound(0.1) == pytest.approx(value, abs=1e-5)


def test_variants_are_mild_and_always_the_same() -> None:
    image = torch.rand(3, 50, 70, generator=torch.Generator().manual_seed(0)).cumsum(dim=1) / 50
    found = make_variants(image)
    assert found.shape == (3, 3, 50, 70)
    assert torch.equal(found[0], image)
    assert torch.equal(make_variants(image), found)
    assert 0 <= found.min() <= found.max() <= 1
    assert not torch.equal(found[1], image)
    torch.testing.assert_close(found[1:].mean(dim=(1, 2, 3)), image.mean().expand(2), rtol=0.12, atol=0)


def test_each_image_is_judged_by_the_others(golden_model: AdaptCLIPModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the plain way, prompts set anew for each."""
    seen: list[torch.Tensor] = []

    def remember(values: torch.Tensor) -> NormalScores:
        seen.append(values)
        return NormalScores(len(seen), 1.0, 3)

    monkeypatch.setattr("anomalib_adaptclip.model.calibration.normal_scores", remember)
    images = list(torch.rand(3, 3, 56, 56, generator=torch.Generator().manual_seed(0)))
    inputs = torch.stack([make_variants(image) * 2 - 1 for image in images])
    tokens = golden_model.encode_prompts(inputs[:, 0])
    encoded: list[int] = []
    encode = golden_model.encode

    def count(batch: torch.Tensor, layers: Any) -> Any:
        encoded.append(len(batch))
        return encode(batch, layers)

    monkeypatch.setattr(golden_model, "encode", count)
    golden_model.encode_texts()
    calibrator = Calibrator(0.1)
    calibrator.fit(golden_model, ["a", "b", "c"], inputs, tokens)
    assert encoded == [2, 2, 2]  # the changed variants alone
    expected = CalibrationRecord(("a", "b", "c"), 0.1, NormalScores(1, 1.0, 3), NormalScores(2, 1.0, 3))
    assert calibrator.record == expected
    assert calibrator.is_current(["a", "b", "c"])
    assert not calibrator.is_current(["a", "b"])
    monkeypatch.undo()
    assert golden_model.prompt_memory.k_shot == 0
    for index, image in enumerate(images):
        golden_model.set_prompts(torch.stack([other for other in images if other is not image]) * 2 - 1)
        output: Any = golden_model(make_variants(image) * 2 - 1)
        torch.testing.assert_close(seen[0][index], output.pred_score, rtol=0, atol=1e-5)
        torch.testing.assert_close(seen[1][index], output.anomaly_map.amax(dim=(1, 2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("limits", [Thresholds(0.1, 0.02), Thresholds(0.7, 0.98)])
def test_normalised_scores_keep_their_order_and_the_threshold_is_a_half(limits: Thresholds) -> None:
    post_processor = PostProcessor()
    set_thresholds(post_processor, limits)
    scores = torch.linspace(0, 1, 101)
    for name, limit in (("image", limits.image), ("pixel", limits.pixel)):
        low, high, threshold = (
            getattr(post_processor, key) for key in (f"{name}_min", f"{name}_max", f"{name}_threshold")
        )
        normalised: Any = PostProcessor._normalize(scores, low, high, threshold)
        assert (normalised.diff() > 0).all()
        assert ((normalised > 0.5) == (scores > limit + 1e-6)).all()


# In anomalib


def test_good_images_alone_set_the_thresholds(
    write_images: Callable[..., Path], engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A folder of good images, a folder to predict, and nothing else; the checkpoint-less way of anomalib."""
    model = tiny(k_shot=4, few_shot_source=write_images("good", 4), calibration="normal")
    batches = engine().predict(model, data_path=write_images("query", 2))
    assert "Nothing was calibrated" not in caplog.text
    assert "Calibrated on 4 normal images" in caplog.text
    image, pixel = thresholds(model)
    assert 0 < image < 1
    assert 0 < pixel < 1
    output: Any = model.model(torch.cat([model.read_images([path]) for batch in batches for path in batch.image_path]))
    labels = torch.cat([batch.pred_label for batch in batches])
    masks = torch.cat([batch.pred_mask for batch in batches])
    assert torch.equal(labels.flatten(), output.pred_score > image)
    assert torch.equal(masks.flatten(), (output.anomaly_map > pixel).flatten())


def test_a_lower_rate_means_higher_thresholds(write_images: Callable[..., Path]) -> None:
    source = write_images("good", 3)
    found = []
    for rate in (0.2, 0.02):
        model = tiny(k_shot=3, few_shot_source=source, calibration="normal", false_positive_rate=rate).eval()
        model(torch.rand(1, 3, 64, 64))
        found.append(thresholds(model))
    assert found[1][0] > found[0][0]
    assert found[1][1] > found[0][1]


def test_labels_change_nothing(datamodule: SyntheticDefects, engine: Any) -> None:
    """anomalib validates, finds thresholds by labels, and those of the normal images stay."""
    by_labels, alone, model = tiny(k_shot=4), tiny(k_shot=4, calibration="normal"), tiny(k_shot=4, calibration="normal")
    engine().validate(by_labels, datamodule=datamodule)
    engine().validate(model, datamodule=datamodule)
    assert thresholds(model) != thresholds(by_labels)
    assert model.prompt_files == by_labels.prompt_files
    alone.shots.source_files = model.prompt_files
    alone.prepare()
    assert thresholds(alone) == thresholds(model)


def test_a_checkpoint_holds_the_thresholds(
    datamodule: SyntheticDefects, engine: Any, write_images: Callable[..., Path]
) -> None:
    """They are not estimated again, nor are the good images needed, for another rate either."""
    first, model = engine(), tiny(k_shot=4, calibration="normal")
    first.validate(model, datamodule=datamodule)
    path = first.trainer.checkpoint_callback.best_model_path
    for file in dict.fromkeys(model.prompt_files):
        Path(file).unlink()
    other: Any = AdaptCLIP.load_from_checkpoint(path, false_positive_rate=0.01).eval()
    assert model.calibrator is not None
    assert model.calibrator.record is not None
    expected = replace(model.calibrator.record, rate=0.01).thresholds
    assert thresholds(other) == pytest.approx(expected)
    assert other.calibrator.record.rate == 0.01
    other(torch.rand(1, 3, 64, 64))
    assert thresholds(other) == pytest.approx(expected)
    loaded: Any = AdaptCLIP.load_from_checkpoint(path)
    engine().predict(loaded, data_path=write_images("query", 1))
    assert thresholds(loaded) == thresholds(model)


def test_a_command_line_hands_over_the_default_rate_and_that_of_the_checkpoint_stays(
    write_images: Callable[..., Path], engine: Any, tmp_path: Path
) -> None:
    model, first = tiny(k_shot=2, few_shot_source=write_images("good", 2), **RARE), engine()
    query = write_images("query", 1)
    first.predict(model, data_path=query)
    first.trainer.save_checkpoint(tmp_path / "rare.ckpt")
    for rate, expected in ((0.1, 0.01), (0.3, 0.3)):
        other = tiny(k_shot=2, calibration="normal", false_positive_rate=rate)
        engine().predict(other, data_path=query, ckpt_path=tmp_path / "rare.ckpt")
        assert other.calibrator is not None
        assert other.calibrator.record is not None
        assert other.calibrator.record.rate == expected
        assert thresholds(other) == pytest.approx(other.calibrator.record.thresholds)


def test_a_prompt_that_was_drawn_twice_counts_once(write_images: Callable[..., Path]) -> None:
    """Else it would be judged by itself, and be perfectly normal."""
    files = sorted(map(str, write_images("good", 3).iterdir()))
    twice, once = tiny(k_shot=4, calibration="normal"), tiny(k_shot=3, calibration="normal")
    twice.shots.source_files, once.shots.source_files = [files[0], files[1], files[0], files[2]], files
    twice.prepare()
    once.prepare()
    assert thresholds(twice) == thresholds(once)


def test_copies_of_an_image_count_once(write_images: Callable[..., Path]) -> None:
    files = sorted(map(str, write_images("good", 3).iterdir()))
    copied = shutil.copy(files[0], Path(files[0]).with_name("copy.png"))
    once, copies = tiny(k_shot=3, calibration="normal"), tiny(k_shot=4, calibration="normal")
    once.shots.source_files, copies.shots.source_files = files, [*files, str(copied)]
    once.prepare()
    copies.prepare()
    assert thresholds(copies) == thresholds(once)
    alike = tiny(k_shot=2, calibration="normal")
    alike.shots.source_files = [files[0], str(copied)]
    with pytest.raises(ValueError, match=r"needs two different ones; got 1\."):
        alike.prepare()


def test_thresholds_by_labels_are_not_taken_for_those_of_normal_images(
    datamodule: SyntheticDefects, engine: Any, tmp_path: Path
) -> None:
    first, model = engine(), tiny(k_shot=4, calibration="normal")
    first.validate(model, datamodule=datamodule)
    again, by_labels = engine(), tiny()
    again.validate(by_labels, datamodule=datamodule, ckpt_path=first.trainer.checkpoint_callback.best_model_path)
    assert thresholds(by_labels) != thresholds(model)
    again.trainer.save_checkpoint(tmp_path / "labels.ckpt")
    loaded: Any = AdaptCLIP.load_from_checkpoint(tmp_path / "labels.ckpt", calibration="normal", k_shot=4)
    loaded.prepare()
    assert thresholds(loaded) == thresholds(model)


def test_draws_of_a_single_image(write_images: Callable[..., Path]) -> None:
    model = tiny(k_shot=2, calibration="normal")
    model.shots.source_files = [str(write_images("good", 1) / "000.png")] * 2
    with pytest.raises(ValueError, match=r"needs two different ones; got 1\. Raise k_shot, take another seed"):
        model.prepare()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k_shot": 0}, "k_shot must be 2 at least, 8 is better; got 0"),
        ({"k_shot": 1}, "k_shot must be 2 at least, 8 is better; got 1"),
        ({"false_positive_rate": 0.0}, r"between 0 and 1, such as 0\.1; got 0\.0"),
        ({"false_positive_rate": 10}, r"between 0 and 1, such as 0\.1; got 10"),
        ({"calibration": "good"}, r"calibration must be one of \['labels', 'normal'\]; got 'good'"),
        ({"post_processor": False}, "sets the thresholds of anomalib's PostProcessor"),
        ({"post_processor": PostProcessor(enable_normalization=False)}, "with normalisation"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomalib_adaptclip.model.lightning_model.load_clip", lambda *_: pytest.fail("too late"))
    with pytest.raises(ValueError, match=message):
        tiny(**{"k_shot": 4, "calibration": "normal"} | options)
