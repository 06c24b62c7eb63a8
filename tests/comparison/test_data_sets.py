# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Comparisons on special data sets: camera views, nothing normal, parts missing, seen by some adapters."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.data import Batch
from PIL import Image

from anomalib_adaptclip import AdaptCLIP
from anomalib_adaptclip.comparison import METRICS, ComparisonEvaluator, list_runs, read_sweep
from anomalib_adaptclip.comparison.evaluation import PIXEL_METRICS
from anomalib_adaptclip.comparison.views import by_view, view_of
from anomalib_adaptclip.data.catalogue import build_data_set
from anomalib_adaptclip.prompts.bank import PromptBank
from tests.data.miniatures import HEIGHT, LAYOUTS, WIDTH

from .command import WARNINGS, Part, read_runs, run, smoke_models, write_sweep

SHOTS: dict[str, list[int | str]] = {"AdaptCLIP": [1], "WinCLIP-untrained": [1], "PatchCore": [1, "full"]}

pytestmark = [pytest.mark.filterwarnings(text) for text in WARNINGS]


def miniature(name: str, root: Path, **entry: Any) -> dict[str, Part]:
    """A data set of the paper in small, as a sweep has it."""
    LAYOUTS[name](root)
    return {name: {"init_args": {"root": str(root), "num_workers": 0}, **entry}}


# Camera views


def test_parts_by_view_have_the_images_of_their_view(tmp_path: Path) -> None:
    LAYOUTS["real-iad"](tmp_path)
    module = build_data_set("real-iad", tmp_path)
    module.setup()
    parts = list(by_view(module))
    for split, count in (("train_data", 3), ("val_data", 3), ("test_data", 3)):
        files = [[*getattr(part, split).samples.image_path] for part in parts]
        assert [{view_of(path) for path in part} for part in files] == [{"C1"}, {"C2"}]
        assert [len(part) for part in files] == [count, count]
        assert sorted(files[0] + files[1]) == sorted(getattr(module, split).samples.image_path)


def test_names_tell_the_view() -> None:
    assert view_of("C5/usb_0001_NG_HS_C3_20231022.jpg") == "C3"
    with pytest.raises(ValueError, match=r"other.jpg should contain its camera view"):
        view_of("C5/other.jpg")


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """Scores of images by path, run for run."""
    found: list[dict[str, float]] = []
    usual_init, usual_update = ComparisonEvaluator.__init__, ComparisonEvaluator.update

    def init(self: ComparisonEvaluator, *args: Any) -> None:
        found.append({})
        usual_init(self, *args)

    def update(self: ComparisonEvaluator, batch: Batch[Any]) -> None:
        found[-1].update(zip(vars(batch)["image_path"], torch.as_tensor(batch.pred_score).tolist(), strict=True))
        usual_update(self, batch)

    monkeypatch.setattr(ComparisonEvaluator, "__init__", init)
    monkeypatch.setattr(ComparisonEvaluator, "update", update)
    return found


def test_each_view_has_its_own_prompts(tmp_path: Path, scores: list[dict[str, float]]) -> None:
    data = miniature("real-iad", tmp_path, categories=["audiojack"], pixel_size=32)
    for number, path in enumerate(sorted(tmp_path.rglob("*.jpg"))):  # those of a miniature are much alike
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    assert run(write_sweep(tmp_path / "sweep.yaml", smoke_models(SHOTS), data), tmp_path)[0] == 0
    rows = read_runs(tmp_path / "runs.csv")
    assert [(row.model, row.shots, row.images, row.error) for row in rows] == [
        ("AdaptCLIP", "1", 6, ""),
        ("WinCLIP-untrained", "1", 6, ""),
        ("PatchCore", "1", 6, ""),
        ("PatchCore", "full", 6, ""),
    ]
    assert all(0 <= float(getattr(row, name)) <= 1 for row in rows for name in METRICS)

    # Three train images a view, of which the published draw takes one, and the bank of prompts as a reference.
    [number] = torch.randint(0, 3, (1,), generator=torch.Generator().manual_seed(10)).tolist()
    names = [f"audiojack_train_{number:04}_OK_{view}.jpg" for view in ("C1", "C2")]
    prompts = [json.loads(row.prompts) for row in rows]
    assert [[Path(path).name for path in files] for files in prompts] == [names, names, names, []]
    model = AdaptCLIP(backbone="tiny", image_size=112)
    model.prepare()
    bank = PromptBank(model.model)
    for view, path in zip(("C1", "C2"), prompts[0], strict=True):
        bank.add(view, model.read_images([tmp_path / path]))
    found, images = scores[0], model.read_images([*scores[0]])
    views = [view_of(path) for path in found]
    expected = torch.as_tensor(model.model.detect(images, views, bank).pred_score)
    torch.testing.assert_close(torch.tensor([*found.values()]), expected, atol=1e-4, rtol=0)
    swapped = torch.as_tensor(
        model.model.detect(images, [{"C1": "C2", "C2": "C1"}[view] for view in views], bank).pred_score
    )
    assert (swapped - expected).abs().max() > 1e-3


# Nothing normal


@pytest.mark.parametrize("name", ["kvasir", "endo"])
def test_without_normal_images_prompts_come_from_the_test_images(name: str, tmp_path: Path) -> None:
    """A whole train split there is none, since that would be the images under test."""
    shots: dict[str, list[int | str]] = SHOTS if name == "kvasir" else {"PatchCore": [1, "full"]}
    sweep = write_sweep(tmp_path / "sweep.yaml", smoke_models(shots), miniature(name, tmp_path))
    assert run(sweep, tmp_path)[0] == 0
    rows = read_runs(tmp_path / "runs.csv")
    assert [(row.model, row.shots) for row in rows] == [(model, "1") for model in shots]
    [number] = torch.randint(0, 4, (1,), generator=torch.Generator().manual_seed(10)).tolist()
    for row in rows:
        assert row.error == ""
        assert json.loads(row.prompts) == [f"images/{number:03}.jpg"]
        assert [getattr(row, metric) for metric in METRICS if metric.startswith("image_")] == [None, None, None]
        assert all(0 <= float(getattr(row, f"pixel_{metric}")) <= 1 for metric in PIXEL_METRICS)


# Parts missing


def without_masks(root: Path) -> None:
    for path in root.rglob("*_mask.png"):
        path.unlink()


@pytest.mark.parametrize(
    ("name", "categories", "damage", "errors"),
    [
        ("real-iad", ["audiojack", "usb"], None, ["", "Path does not exist: .*usb.json"]),
        ("mpdd", ["bracket_black", "tubes"], None, ["", "does not exist"]),
        ("mpdd", ["bracket_black"], without_masks, [r"2 images have no mask: .*hole/000.png"]),
        ("kvasir", None, lambda root: (root / "masks").rename(root / "annotations"), ["There is no folder"]),
        ("real-iad", ["usb"], lambda root: (root / "realiad_1024").rename(root / "extracted"), ["missing"]),
    ],
)
def test_what_is_missing_is_recorded_and_the_rest_goes_on(
    name: str,
    categories: list[str] | None,
    damage: Callable[[Path], Any] | None,
    errors: list[str],
    tmp_path: Path,
) -> None:
    data = miniature(name, tmp_path / "data", categories=categories)
    if damage:
        damage(tmp_path / "data")
    sweep = write_sweep(tmp_path / "sweep.yaml", smoke_models({"AdaptCLIP": [0]}), data)
    assert run(sweep, tmp_path)[0] == 1
    found = [row.error for row in read_runs(tmp_path / "runs.csv")]
    assert [bool(error) for error in found] == [bool(error) for error in errors]
    assert all(re.search(expected, error) for error, expected in zip(found, errors, strict=True)), found


def test_a_missing_folder_is_recorded(tmp_path: Path) -> None:
    data = {name: {"init_args": {"root": str(tmp_path / "nowhere")}} for name in ("kvasir", "real-iad")}
    data["real-iad"]["categories"] = ["usb"]  # type: ignore[assignment]
    sweep = write_sweep(tmp_path / "sweep.yaml", smoke_models({"AdaptCLIP": [0]}), data)
    assert run(sweep, tmp_path)[0] == 1
    polyps, usb = (row.error for row in read_runs(tmp_path / "runs.csv"))
    assert f"There is no folder {tmp_path / 'nowhere' / 'images'}" in polyps
    assert f"Real-IAD dataset not found in {tmp_path / 'nowhere'}" in usb


def test_own_categories_in_the_layout_of_another_data_set(tmp_path: Path) -> None:
    sweep = write_sweep(
        tmp_path / "sweep.yaml",
        smoke_models({"AdaptCLIP": [0]}),
        {"mvtec": {"init_args": {"root": str(tmp_path)}, "categories": ["mug", "bottle"]}},
    )
    with pytest.raises(ValueError, match=r"mvtec has no categories \['mug'\], and .* has no folders of that name"):
        list_runs(read_sweep(sweep))
    (tmp_path / "mug").mkdir()
    assert [run.category for run in list_runs(read_sweep(sweep))] == ["mug", "bottle"]


# Adapters


def test_no_data_set_meets_adapters_that_have_seen_it(tmp_path: Path, published_of_tiny: list[str]) -> None:
    model = {"class_path": "AdaptCLIP", "init_args": {"backbone": "tiny", "pretrained": "seed-0", "image_size": 56}}
    data = miniature("visa", tmp_path / "visa", categories=["candle"])
    data |= miniature("mvtec", tmp_path / "mvtec", categories=["bottle"]) | miniature("kvasir", tmp_path / "kvasir")
    sweep = write_sweep(tmp_path / "sweep.yaml", {"AdaptCLIP": {"model": model, "shots": [0, 1]}}, data)
    assert run(sweep, tmp_path)[0] == 0
    used = {(row.data_set, row.adapters, row.leakage) for row in read_runs(tmp_path / "runs.csv")}
    assert used == {("visa", "mvtec", ""), ("mvtec", "visa", ""), ("kvasir", "mvtec", "")}
    assert set(published_of_tiny) == {"mvtec", "visa"}


@pytest.mark.usefixtures("published_of_tiny")
def test_adapters_that_have_seen_the_data_are_recorded(tmp_path: Path) -> None:
    arguments = {"backbone": "tiny", "pretrained": "seed-0", "image_size": 56, "adapters": "mvtec"}
    models = {"AdaptCLIP": {"model": {"class_path": "AdaptCLIP", "init_args": arguments}, "shots": [0]}}
    data = miniature("mvtec", tmp_path / "mvtec", categories=["bottle"])
    assert run(write_sweep(tmp_path / "sweep.yaml", models, data), tmp_path)[0] == 0
    [row] = read_runs(tmp_path / "runs.csv")
    assert (row.adapters, row.leakage) == ("mvtec", "yes")
