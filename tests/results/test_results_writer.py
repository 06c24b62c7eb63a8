# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Formats beside the table: squares at known places come back from each, by each route."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, get_args
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from anomalib.data import InferenceBatch
from anomalib.engine import Engine
from PIL import Image
from torchvision.transforms.v2 import CenterCrop

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PredictFolder
from anomalib_adaptclip.data.image_files import list_image_files
from anomalib_adaptclip.results.geometry import FileGeometry
from anomalib_adaptclip.results.prediction_row import PredictionRow
from anomalib_adaptclip.results.prediction_table import read_predictions
from anomalib_adaptclip.results.results_writer import ResultsWriter, SaveFormat
from anomalib_adaptclip.results.score_scale import Normalization, ScoreScale
from anomalib_adaptclip_cli.main import main
from tests.files.image_rows import exif, stored
from tests.results.test_geometry import HEIGHT, SQUARES, WIDTH, Brightness, are_close, painted

ALL: tuple[SaveFormat, ...] = get_args(SaveFormat)
NAMES = ["turned.png", "under/upright.png", "upright.jpg", "upright.png"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Squares upright, and the same stored turned; names that pictures could share."""
    pixels = (painted(SQUARES).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    (tmp_path / "images" / "under").mkdir(parents=True)
    for name in NAMES[1:]:
        Image.fromarray(pixels).save(tmp_path / "images" / name)
    Image.fromarray(stored(pixels, 6)).save(tmp_path / "images" / NAMES[0], exif=exif(6))
    return tmp_path / "images"


@pytest.fixture
def bright(monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector of bright pixels in place of AdaptCLIP, with thresholds of 0.5."""
    monkeypatch.setattr(AdaptCLIP, "detect", lambda _, images, *__: Brightness()(images))


def tiny(**options: Any) -> AdaptCLIP:
    return AdaptCLIP(backbone="tiny", pretrained="seed-0", visualizer=False, evaluator=False, **options)


def predict(route: str, images: Path, table: Path, save: Any = ALL) -> None:
    if route == "command":
        formats = f"[{','.join(save)}]"
        main(["predict", str(images), str(table), "--backbone", "tiny", "--pretrained", "seed-0", "--save", formats])
    elif route == "engine":
        engine = Engine(default_root_dir=table.parent / "run", accelerator="cpu", devices=1, logger=False)
        engine.predict(model=tiny(results=table, save=save), datamodule=PredictFolder(images))
    else:
        predictor = AdaptCLIPPredictor(tiny())
        with ResultsWriter(table, save, [images]) as writer:
            for paths, predictions in predictor.stream(list_image_files(images)):
                writer.write(paths, predictions, predictor.geometry, predictor.scale)


ROUTES = pytest.mark.parametrize("route", ["command", "engine", "predictor"])


@ROUTES
@pytest.mark.usefixtures("bright")
def test_each_format_by_each_route(route: str, images: Path, tmp_path: Path) -> None:
    table = tmp_path / "out" / "a.csv"
    predict(route, images, table)
    rows = list(read_predictions(table))
    assert [row.path for row in rows] == [str(images / name) for name in NAMES]
    assert all(are_close(row.boxes, SQUARES, pixels=3) for row in rows)
    assert list(read_predictions(table.with_suffix(".parquet"))) == rows
    assert list(read_predictions(table.with_suffix(".jsonl"))) == rows
    for folder, suffix, mode in (("a-masks", "png", "L"), ("a-maps", "tiff", "F")):
        found = {file.relative_to(table.parent / folder).as_posix() for file in (table.parent / folder).rglob("*.*")}
        assert found == {f"turned.{suffix}", f"upright.{suffix}", f"upright.jpg.{suffix}", f"under/upright.{suffix}"}
        for name in found:
            with Image.open(table.parent / folder / name) as image:
                assert (image.size, image.mode) == ((WIDTH, HEIGHT), mode)
    mask = np.array(Image.open(table.parent / "a-masks" / "turned.png"))
    assert set(np.unique(mask)) == {0, 255}
    truth = painted(SQUARES)[0].numpy() > 0.5
    assert ((mask > 0) & truth).sum() / ((mask > 0) | truth).sum() > 0.85
    values = np.array(Image.open(table.parent / "a-maps" / "upright.tiff"))
    assert values[150, 200] > 0.9
    assert values[10, 10] < 0.1
    content = json.loads((table.parent / "a.coco.json").read_text())
    assert [image["file_name"] for image in content["images"]] == NAMES
    assert not [*table.parent.glob("**/*.part*"), *table.parent.glob("**/.*")]


@pytest.mark.usefixtures("bright")
def test_pandas_reads_the_tables(images: Path, tmp_path: Path) -> None:
    predict("predictor", images, tmp_path / "a.parquet")
    frames = [
        pd.read_parquet(tmp_path / "a.parquet"),
        pd.read_csv(tmp_path / "a.csv"),
        pd.read_json(tmp_path / "a.jsonl", lines=True),
    ]
    for frame in frames:
        assert list(frame) == list(PredictionRow._fields)
        assert list(frame.label) == [1, 1, 1, 1]
        assert frame.raw_threshold.isna().all()  # nothing was calibrated
        boxes = frame.boxes.map(lambda cell: json.loads(cell) if isinstance(cell, str) else cell)
        assert all(are_close([list(box) for box in found], SQUARES, pixels=3) for found in boxes)


# Batches made up


SCALE = ScoreScale(Normalization(0.5, 0.125, 0.375), Normalization())


def batch_of(*names: str) -> tuple[list[str], InferenceBatch]:
    maps = torch.zeros(len(names), 1, 8, 12)
    maps[:, :, 2:4, 3:7] = 0.75
    scores = torch.full((len(names),), 0.75)
    return list(names), InferenceBatch(scores, scores > 0.5, maps, maps > 0.5)


def written(folder: Path) -> dict[str, bytes]:
    """Content of all files but the record of what scores depend on."""
    return {
        file.relative_to(folder).as_posix(): file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file() and not file.name.endswith("run.json")
    }


def test_a_row_has_what_a_person_needs(tmp_path: Path) -> None:
    with ResultsWriter(tmp_path / "a.csv") as writer:
        writer.write(*batch_of("x.png"), scale=SCALE)
    [row] = read_predictions(tmp_path / "a.csv")
    assert row == PredictionRow("x.png", 0.75, 1, [(3, 2, 7, 4)], 0.5, 0.375, None, (8,), (0.75,))


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that was killed after it had written its masks and before their rows."""
    table = tmp_path / "broken" / "a.csv"
    writer = ResultsWriter(table, ALL)
    writer.require_same_run({"version": "1"})
    writer.write(*batch_of("a/0.png", "a/0.jpg"), scale=SCALE)
    monkeypatch.setattr(writer.table, "write", Mock(side_effect=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        writer.write(*batch_of("a/1.png"), scale=SCALE)
    writer.abandon()
    with (tmp_path / "broken" / "a.coco.json.part").open("a") as draft:
        draft.write('{"image": {"pa')
    return table


def test_a_broken_run_goes_on_to_the_same_files(interrupted: Path, tmp_path: Path) -> None:
    assert not interrupted.exists()
    with ResultsWriter(interrupted, ALL, resume=True) as writer:
        writer.require_same_run({"version": "1"})
        assert writer.table.paths == {"a/0.png", "a/0.jpg"}
        writer.write(*batch_of("a/1.png"), scale=SCALE)
    whole = tmp_path / "whole" / "a.csv"
    with ResultsWriter(whole, ALL) as writer:
        writer.write(*batch_of("a/0.png", "a/0.jpg", "a/1.png"), scale=SCALE)
    assert written(interrupted.parent) == written(whole.parent)
    with ResultsWriter(whole, ALL, resume=True):  # nothing is left to do
        pass
    assert written(interrupted.parent) == written(whole.parent)


def test_other_formats_are_not_gone_on_with(interrupted: Path) -> None:
    with (
        pytest.raises(ValueError, match="saved files was coco, masks, maps and is masks"),
        ResultsWriter(interrupted, ["masks"], resume=True) as writer,
    ):
        writer.require_same_run({"version": "1"})


@pytest.mark.parametrize("lost", ["a-masks", "a-maps", "a.coco.json.part"])
def test_what_is_lost_is_told(interrupted: Path, lost: str) -> None:
    path = interrupted.with_name(lost)
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match=r"Start anew without resume"):
        ResultsWriter(interrupted, ALL, resume=True)
    ResultsWriter(interrupted).abandon()  # the lock is free


def test_another_run_overwrites_no_mask(tmp_path: Path) -> None:
    for expected in ("a-masks", "a-masks-2", "a-masks-3"):
        with ResultsWriter(tmp_path / "a.csv", ["masks"]) as writer:
            writer.write(*batch_of("x.png"))
        assert writer.outputs == [tmp_path / expected]
        assert (tmp_path / expected).is_dir()


def test_images_that_would_share_a_name_lose_nothing(tmp_path: Path) -> None:
    names = ["/r/a.png", "/s/a.png", "/r/a.jpg", "/r/a.jpg.png", "/r/A.png", "a.png", f"{'x' * 240}/{'y' * 250}.png"]
    with ResultsWriter(tmp_path / "t.csv", ["masks", "maps", "coco"], ["/r", "/s"]) as writer:
        writer.write(*batch_of(*names), scale=SCALE)
    for folder in ("t-masks", "t-maps"):
        files = [file for file in (tmp_path / folder).rglob("*") if file.is_file()]
        assert len(files) == len(names)
        assert len({str(file).casefold() for file in files}) == len(names)


def test_pixels_that_the_model_did_not_see_are_no_numbers(images: Path, tmp_path: Path) -> None:
    ones = torch.full((1, 1, 100, 100), 0.5)
    with ResultsWriter(tmp_path / "a.csv", ["maps"], [images]) as writer:
        prediction = InferenceBatch(torch.ones(1), anomaly_map=ones)
        writer.write([str(images / "upright.png")], prediction, FileGeometry([CenterCrop((100, 100))]), SCALE)
    values = np.array(Image.open(tmp_path / "a-maps" / "upright.tiff"))
    assert np.isfinite(values).sum() == 100 * 100
    assert set(values[100:200, 150:250].ravel()) == {0.5}


# What is refused, before any work


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save": ["masks"]}, r"save=\['masks'\] is written beside a table of results\. Name it too"),
        ({"save": ["mask"], "results": "a.csv"}, r"save must be one of \['csv', .*; got 'mask'"),
        ({"save": "masks", "results": "a.csv"}, "save must be a list, each one of"),
    ],
)
def test_wrong_arguments(options: Any, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("anomalib_adaptclip.model.lightning_model.load_clip", lambda *_: pytest.fail("too late"))
    with pytest.raises(ValueError, match=message):
        tiny(**options)


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet", "a.coco.json"])
def test_a_folder_in_the_way_is_told_at_once(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=rf"{name} (should be a file|.*is a folder)"):
        ResultsWriter(tmp_path / "a.csv", ALL)


def test_masks_need_thresholds(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="no masks to save, for want of thresholds"),
        ResultsWriter(tmp_path / "a.csv", ["masks"]) as writer,
    ):
        writer.write(["a.png"], InferenceBatch(torch.ones(1), anomaly_map=torch.ones(1, 1, 4, 4)))


def test_a_checkpoint_saves_nothing_beside(tmp_path: Path) -> None:
    """As it writes no table."""
    checkpoint: dict[str, Any] = {"hyper_parameters": dict(tiny(results=tmp_path / "a.csv", save=["masks"]).hparams)}
    model = tiny(results=tmp_path / "a.csv", save=["masks"])
    checkpoint |= {"state_dict": model.state_dict(), "callbacks": {}}
    model.on_save_checkpoint(checkpoint)
    assert not checkpoint["hyper_parameters"]["save"]


def test_the_page_names_all_columns_and_formats() -> None:
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    columns, formats = page.split("## Formats beside the table")
    assert re.findall(r"^\| `(\w+)` \|", columns, flags=re.MULTILINE) == list(PredictionRow._fields)
    _, *rows = re.findall(r"^\| (`.*?`) \|", formats, flags=re.MULTILINE)  # without the head
    assert tuple(", ".join(rows).replace("`", "").split(", ")) == ALL
