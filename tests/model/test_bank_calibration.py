# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds of each category in a prompt bank, from its good images alone."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.engine import Engine
from anomalib.post_processing import PostProcessor
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PromptBank
from anomalib_adaptclip.model.bank_calibration import BankCalibrator, category_record
from anomalib_adaptclip.model.calibration import score_with
from anomalib_adaptclip.model.prompt_encoding import read_prompts
from anomalib_adaptclip.prompts.bank_scores import MOST, OldImages, judge_images
from anomalib_adaptclip.results.heat_scale import HeatScale, heat_scale
from anomalib_adaptclip.results.prediction_row import prediction_rows
from anomalib_adaptclip.results.prediction_table import read_predictions
from anomalib_adaptclip_cli.main import main

SIZE = 56
CLIP = ["--backbone", "tiny", "--pretrained", "seed-0", "--image_size", str(SIZE)]


def tiny(**options: Any) -> AdaptCLIP:
    defaults: dict[str, Any] = {"backbone": "tiny", "pretrained": "seed-0", "image_size": SIZE, "visualizer": False}
    return AdaptCLIP(**defaults | options)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., list[str]]:
    """A function that writes grey images of some brightness, each a little other, and returns their paths."""

    def write(name: str, count: int, brightness: int) -> list[str]:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        rng = np.random.default_rng(brightness)
        for index in range(count):
            pixels = rng.integers(brightness, brightness + 60, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index}.png")
        return sorted(map(str, folder.iterdir()))

    return write


@pytest.fixture
def good(write: Callable[..., list[str]]) -> dict[str, list[str]]:
    return {
        "bottle": write("good/bottle", 3, 0),
        "cable": write("good/cable", 4, 150),
        "pill": write("good/pill", 1, 9),
    }


@pytest.fixture
def bank_file(good: dict[str, list[str]], tmp_path: Path) -> Path:
    """Bottles and cables are calibrated, a single pill cannot be."""
    path, model = tmp_path / "bank.safetensors", tiny()
    bank = PromptBank(model.model, "tiny")
    for name, files in good.items():
        model.add_to_bank(name, files, bank)
    bank.save(path)
    return path


@pytest.fixture
def queries(write: Callable[..., list[str]]) -> list[str]:
    """Two of each category, and of one that the bank lacks."""
    names = ("bottle", "cable", "pill", "screw")
    return [file for number, name in enumerate(names) for file in write(f"new/{name}", 2, 40 * number)]


def alone(files: Sequence[str], **options: Any) -> AdaptCLIP:
    """The model of a single category."""
    model = tiny(k_shot=len(files), few_shot_source=Path(files[0]).parent, calibration="normal", **options)
    model.prepare()
    return model


def record_of(bank: PromptBank, name: str) -> Any:
    [model] = bank.scores(name)
    return category_record(bank.scores(name), model, 0.1)


# The bank


def test_thresholds_are_those_of_the_category_alone(bank_file: Path, good: dict[str, list[str]]) -> None:
    bank = PromptBank.load(bank_file, tiny().model)
    for name in ("bottle", "cable"):
        expected: Any = alone(good[name]).calibrator
        assert record_of(bank, name).thresholds == pytest.approx(expected.record.thresholds, abs=1e-5)
        assert record_of(bank, name).image.images == len(good[name])
    assert bank.scores("pill") == {}


def test_images_are_scored_with_those_that_came_before(good: dict[str, list[str]]) -> None:
    model = tiny()
    bank = PromptBank(model.model, "tiny")
    files = good["cable"]
    model.add_to_bank("cable", files[:1], bank)
    model.add_to_bank("cable", files[1:2], bank)
    [model_scores] = bank.scores("cable").values()
    assert len(model_scores) == 1  # the first had nothing to be compared with
    model.add_to_bank("cable", files, bank)  # two of them again, which are scored anew
    assert bank.k_shot("cable") == 4
    expected: Any = alone(files).calibrator
    assert record_of(bank, "cable").thresholds == pytest.approx(expected.record.thresholds, abs=1e-5)


def test_a_copy_is_not_compared_with_itself(good: dict[str, list[str]]) -> None:
    model = tiny()
    bank = PromptBank(model.model, "tiny")
    model.add_to_bank("cable", [good["cable"][0], *good["cable"]], bank)
    [scores] = bank.scores("cable").values()
    assert len(scores) == 4
    assert min(value for own in scores.values() for pair in own for value in pair) > 1e-3


def test_within_a_budget(good: dict[str, list[str]]) -> None:
    """Patches of a budget are no images any more: those that are added are compared with them, none of them again."""
    model = tiny(prompt_budget=8)
    bank = PromptBank(model.model, "tiny")
    files = good["cable"]
    model.add_to_bank("cable", files[:2], bank)
    before = bank.scores("cable")
    model.add_to_bank("cable", files[:2], bank)
    assert bank.scores("cable") == before
    old = bank._sets["cable"]
    model.add_to_bank("cable", files[2:], bank)
    [scores] = bank.scores("cable").values()
    assert len(scores) == 4
    images = read_prompts(files, model.image_input, with_variants=True)
    tokens = [model.model.encode_prompts(variants) for variants in images.inputs]
    other = model.model.prompt_memory.pack(tokens[3].select([0]))
    pool = torch.cat([old.flatten(1, 2), other[:, 0]], dim=1)
    expected = score_with(model.model, tokens[2], pool.reshape(4, 3, 8, -1), (SIZE, SIZE))
    torch.testing.assert_close(torch.tensor([*scores.values()][2]), expected, rtol=0, atol=1e-5)


def test_of_many_images_some_are_scored(golden_model: Any) -> None:
    calls: list[int] = []

    def judge(row: int, tokens: Any, prompts: torch.Tensor) -> Any:
        del tokens
        calls.append(row)
        assert prompts.shape[1] == 99
        return [[0.1, 0.1]]

    tokens = golden_model.encode_prompts(torch.rand(1, 3, 56, 56)).select([0] * 100)
    packed = golden_model.prompt_memory.pack(tokens)
    parts = {str(row): packed[:, row] for row in range(100)}
    places = {str(row): row for row in range(100)}
    found = judge_images(judge, tokens, places, parts, OldImages(None, ()))  # type: ignore[arg-type]
    assert len(found) == len(calls) <= MOST
    assert calls[:2] == [0, 4]


def test_removing_forgets_the_scores(bank_file: Path) -> None:
    bank = PromptBank.load(bank_file, tiny().model)
    bank.remove("cable")
    assert bank.scores("cable") == {}
    assert "cable" not in bank.header().scores


def test_commands_keep_the_scores_of_others(bank_file: Path, good: dict[str, list[str]]) -> None:
    before = PromptBank.load(bank_file, tiny().model).scores("bottle")
    main(["bank-remove", str(bank_file), "cable"])
    main(["bank-add", str(bank_file), "cable", str(Path(good["cable"][0]).parent), *CLIP])
    bank = PromptBank.load(bank_file, tiny().model)
    assert bank.scores("bottle") == before
    assert record_of(bank, "cable").image.images == 4


def test_an_empty_bank_needs_no_adapters(good: dict[str, list[str]], tmp_path: Path) -> None:
    folder = str(Path(good["cable"][0]).parent)
    options = [*CLIP, "--adapters", "visa", "--calibrate", "false"]  # which cannot be had
    main(["bank-add", str(tmp_path / "new.safetensors"), "cable", folder, *options])
    assert PromptBank.load(tmp_path / "new.safetensors", tiny().model).scores("cable") == {}


@pytest.mark.parametrize(
    "scores", ["[1]", '{"cable": 3}', '{"cable": {"m": {"h": [[NaN, 0]]}}}', '{"cable": {"m": {"h": [[2, 0]]}}}',
               '{"cable": {"m": {"h": [[0.5]]}}}', '{"cable": {"m": {"h": []}}}', '{"cable": {"m": {"h": "x"}}}'],
)  # fmt: skip
def test_damaged_scores_are_refused(bank_file: Path, scores: str) -> None:
    with safe_open(bank_file, "pt") as file:
        metadata = file.metadata()
    save_file(load_file(bank_file), bank_file, metadata | {"scores": scores})
    with pytest.raises(ValueError, match="a prompt bank with a damaged header"):
        PromptBank.load(bank_file, tiny().model)


def test_the_file_holds_the_scores_in_its_header(bank_file: Path) -> None:
    with safe_open(bank_file, "pt") as file:
        scores = json.loads(file.metadata()["scores"])
    assert sorted(scores) == ["bottle", "cable"]


# Verdicts


def assert_judged_alike(found: Any, rows: slice, expected: Any) -> None:
    """As the model of the category alone judges."""
    assert found.pred_label[rows].tolist() == expected.pred_label.tolist()
    torch.testing.assert_close(found.pred_score[rows], expected.pred_score, rtol=0, atol=1e-5)
    torch.testing.assert_close(found.anomaly_map[rows], expected.anomaly_map, rtol=0, atol=1e-5)
    assert (found.pred_mask[rows].flatten() == expected.pred_mask.flatten()).float().mean() > 0.999


def test_the_predictor_judges_each_image_by_its_category(
    bank_file: Path, good: dict[str, list[str]], queries: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    predictor = AdaptCLIPPredictor(tiny(prompt_bank=bank_file, calibration="normal"))
    [told] = [record for record in caplog.records if "no thresholds of" in record.message]
    assert "['pill']" in told.message
    caplog.clear()
    [(paths, found)] = predictor.stream(queries)
    for name, rows in {"bottle": slice(0, 2), "cable": slice(2, 4)}.items():
        assert_judged_alike(found, rows, AdaptCLIPPredictor(alone(good[name]))(queries[rows]))
    assert torch.as_tensor(found.pred_label)[4:].tolist() == [-1] * 4
    assert not torch.as_tensor(found.pred_mask)[4:].any()
    raw: Any = predictor.model.model.detect(
        predictor.model.read_images(queries[6:]), ["x"] * 2, PromptBank(predictor.model.model)
    )
    torch.testing.assert_close(torch.as_tensor(found.pred_score)[6:], raw.pred_score)
    assert [row.label for row in prediction_rows(paths, found)][4:] == [None] * 4
    assert "no thresholds" not in caplog.text  # told once


@pytest.mark.parametrize("route", ["predictor", "engine"])
@pytest.mark.parametrize("sensitivity", [0.5, 0.3])
def test_rows_tell_raw_scores_and_thresholds_of_the_category(
    bank_file: Path, good: dict[str, list[str]], queries: list[str], tmp_path: Path, route: str, sensitivity: float
) -> None:
    options: dict[str, Any] = {"prompt_bank": bank_file, "calibration": "normal", "image_sensitivity": sensitivity}
    if route == "engine":
        model = tiny(results=tmp_path / "a.csv", **options)
        engine = Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1, logger=False)
        engine.predict(model, data_path=tmp_path / "new")
        rows = [row for row in read_predictions(tmp_path / "a.csv") if "new" in row.path]
    else:
        predictor = AdaptCLIPPredictor(tiny(**options))
        batches = predictor.stream(queries, batch_size=3)
        rows = [row for paths, batch in batches for row in prediction_rows(paths, batch, predictor.geometry)]
    assert len(rows) == len(queries)
    models = {name: alone(good[name], image_sensitivity=sensitivity) for name in ("bottle", "cable")}
    for row in rows:
        name = Path(row.path).parent.name
        if name not in models:
            assert (row.label, row.raw_threshold, row.normal_share) == (None, None, None)
            assert row.raw_score == pytest.approx(row.score)
            continue
        own: Any = models[name]
        record = own.calibrator.record
        raw = float(own.detect(own.image_input.read([row.path])).pred_score)
        assert row.raw_score == pytest.approx(raw, abs=1e-5)
        assert row.normal_share == pytest.approx(record.image.share_above(raw), abs=1e-3)
        assert row.raw_threshold is not None
        assert (raw > row.raw_threshold) == bool(row.label)
        if sensitivity == 0.5:
            assert row.raw_threshold == pytest.approx(record.thresholds.image, abs=1e-5)


def test_colours_of_pictures_are_those_of_the_category(bank_file: Path, good: dict[str, list[str]]) -> None:
    model = tiny(prompt_bank=bank_file, calibration="normal")
    model.prepare()
    for name in ("bottle", "cable"):
        found, expected = heat_scale(model, name), heat_scale(alone(good[name]))
        assert (found.typical, found.threshold, found.end) == pytest.approx(
            (expected.typical, expected.threshold, expected.end), abs=1e-4
        )
    assert heat_scale(model, "pill") == heat_scale(model, "screw") == HeatScale()


def test_the_engine_judges_alike(bank_file: Path, queries: list[str], tmp_path: Path) -> None:
    engine = Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)
    model = tiny(prompt_bank=bank_file, calibration="normal")
    batches: Any = engine.predict(model, data_path=tmp_path / "new")
    [(_, expected)] = AdaptCLIPPredictor(model).stream(queries)
    labels = torch.cat([batch.pred_label for batch in batches])
    scores = torch.cat([batch.pred_score for batch in batches])
    reasons = [text for batch in batches for text in batch.explanation]
    assert [path for batch in batches for path in batch.image_path] == queries
    torch.testing.assert_close(scores, torch.as_tensor(expected.pred_score), rtol=0, atol=1e-5)
    assert labels.int().tolist() == torch.as_tensor(expected.pred_label).clamp(min=0).tolist()
    assert (
        reasons
        == [""] * 4 + ["No verdict: 'pill' is not calibrated."] * 2 + ["No verdict: the prompt bank lacks 'screw'."] * 2
    )
    assert not torch.cat([batch.pred_mask for batch in batches])[4:].any()


@pytest.mark.parametrize("post_processor", [True, PostProcessor()])
def test_tables_leave_the_label_empty(bank_file: Path, queries: list[str], tmp_path: Path, post_processor: Any) -> None:
    engine = Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)
    model = tiny(
        prompt_bank=bank_file, calibration="normal", results=tmp_path / "engine.csv", post_processor=post_processor
    )
    engine.predict(model, data_path=tmp_path / "new")
    main([
        "predict", str(tmp_path / "new"), str(tmp_path / "command.csv"), *CLIP,
        "--prompt_bank", str(bank_file), "--calibration", "normal",
    ])  # fmt: skip
    for table in ("engine.csv", "command.csv"):
        rows = list(read_predictions(tmp_path / table))
        assert len(rows) == len(queries)
        for row in rows:
            assert (row.label is None) == ("pill" in row.path or "screw" in row.path)
            assert row.label is not None or row.boxes == []


def test_unknown_categories_get_no_verdict_by_labels_either(bank_file: Path, queries: list[str]) -> None:
    """Thresholds that were found with prompts do not fit zero-shot scores. The bottles are copies of good ones."""
    predictor = AdaptCLIPPredictor(tiny(prompt_bank=bank_file, image_threshold=0.0, fusion="published"))
    [(_, found)] = predictor.stream(queries)
    assert torch.as_tensor(found.pred_label).tolist() == [0, 0, 1, 1, 1, 1, -1, -1]


def test_other_adapters_have_no_thresholds(
    bank_file: Path, queries: list[str], good: dict[str, list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    other = tiny(prompt_bank=bank_file, calibration="normal", fusion="paper")
    predictor = AdaptCLIPPredictor(other)
    assert "no thresholds of ['bottle', 'cable', 'pill'] for these adapters and options" in caplog.text
    assert torch.as_tensor(predictor(queries[:2], ["bottle"] * 2).pred_label).tolist() == [-1, -1]
    other.add_to_bank("bottle", good["bottle"])  # they are there already, and are scored by this model
    assert other.prompt_bank is not None
    assert other.prompt_bank.k_shot("bottle") == 3
    assert len(other.prompt_bank.scores("bottle")) == 2
    expected = AdaptCLIPPredictor(alone(good["bottle"], fusion="paper"))(queries[:2])
    assert_judged_alike(predictor(queries[:2], ["bottle"] * 2), slice(0, 2), expected)


def test_a_smaller_budget_leaves_the_thresholds_aside(bank_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    tiny(prompt_bank=bank_file, calibration="normal", prompt_budget=8).prepare()
    assert "no thresholds of ['bottle', 'cable', 'pill']" in caplog.text


def test_a_rate_sets_the_thresholds_without_images(bank_file: Path, good: dict[str, list[str]]) -> None:
    for files in good.values():
        for file in files:
            Path(file).unlink()
    found = []
    for rate in (0.1, 0.01):
        model = tiny(prompt_bank=bank_file, calibration="normal", false_positive_rate=rate)
        model.prepare()
        assert isinstance(model.calibrator, BankCalibrator)
        assert model.prompt_bank is not None
        [limits] = model.calibrator.thresholds_of(["cable"], model.prompt_bank)
        assert limits is not None
        found.append(limits)
    assert found[1].image > found[0].image
    assert found[1].pixel > found[0].pixel


def test_a_checkpoint_goes_on_with_the_bank(
    bank_file: Path, queries: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)
    model = tiny(prompt_bank=bank_file, calibration="normal", false_positive_rate=0.2)
    engine.predict(model, data_path=tmp_path / "new")
    engine.trainer.save_checkpoint(tmp_path / "bank.ckpt")
    loaded = AdaptCLIPPredictor.from_checkpoint(tmp_path / "bank.ckpt")
    [(_, found)], [(_, expected)] = loaded.stream(queries), AdaptCLIPPredictor(model).stream(queries)
    torch.testing.assert_close(found, expected)
    caplog.clear()
    without = AdaptCLIP.load_from_checkpoint(tmp_path / "bank.ckpt", prompt_bank=None)
    assert without.calibrator is None
    assert "made with a prompt bank" in caplog.text


def test_wrong_use(bank_file: Path, good: dict[str, list[str]]) -> None:
    with pytest.raises(ValueError, match="The model has no prompt bank to add images to"):
        tiny().add_to_bank("cable", good["cable"])
    model = tiny(prompt_bank=bank_file)
    with pytest.raises(ValueError, match="category must be a text"):
        model.add_to_bank(3, good["cable"])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="files must be a list"):
        model.add_to_bank("cable", good["cable"][0])
    with pytest.raises(ValueError, match="sets the thresholds of anomalib's PostProcessor"):
        tiny(prompt_bank=bank_file, calibration="normal", post_processor=False)


def test_the_list_tells_of_another_rate(bank_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["bank-list", str(bank_file), "--false_positive_rate", "0.01"])
    bottle, cable, pill = capsys.readouterr().out.splitlines()
    assert "by 3 of them for 0.01 false positives" in bottle
    assert "by 4 of them for 0.01 false positives" in cable
    assert pill.startswith("pill: 1 good images; not calibrated")
    with pytest.raises(SystemExit):
        main(["bank-list", str(bank_file), "--false_positive_rate", "1"])
    assert "between 0 and 1, such as 0.1; got 1.0" in capsys.readouterr().err
