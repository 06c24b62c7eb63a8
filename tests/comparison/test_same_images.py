# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of all models on the same images: which images, their colours, and how the report puts them side by side."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from anomalib.data import ImageBatch
from anomalib.pre_processing import PreProcessor
from lightning.pytorch import LightningModule
from PIL import Image
from torch import nn
from torchvision.transforms.v2 import RandomHorizontalFlip, Resize, Transform

from anomalib_adaptclip import SyntheticDefects
from anomalib_adaptclip.comparison import RunRow, RunTable
from anomalib_adaptclip.comparison.gallery_file import Panel, SameImage, pack, unpack
from anomalib_adaptclip.comparison.report.pictures import read_pictures
from anomalib_adaptclip.comparison.report.runs import read_runs
from anomalib_adaptclip.comparison.run_files import gallery_path
from anomalib_adaptclip.comparison.same_images import ABNORMAL, GOOD, SameImages, choose_images, colour_range, spread
from anomalib_adaptclip.files.tensors import sha256_of
from anomalib_adaptclip_cli.main import main

from .browser import look_at
from .made_up import Row, made_up_row, write_table


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SyntheticDefects:
    """Four good and fifteen abnormal images under test."""
    folder = tmp_path_factory.mktemp("same")
    module = SyntheticDefects(
        folder, "marble", image_size=64, num_train_images=2, num_normal_test_images=4, num_images_per_defect=3
    )
    module.prepare_data()
    module.setup()
    return module


class Model(LightningModule):
    """A model that has only a pre-processor."""

    def __init__(self, transform: Transform) -> None:
        super().__init__()
        self.pre_processor: nn.Module = PreProcessor(transform)


def drawn_by(data: SyntheticDefects, transform: Transform, names: Sequence[str] | None = None) -> list[SameImage]:
    """Pictures of a model whose map of a good image is 0.1 at most, and that of an abnormal one 0.5, 0.6 and so on."""
    samples = data.test_data.samples
    paths = [str(path) for path in samples.image_path]
    labels = torch.tensor(samples.label_index.to_numpy())
    scores = torch.where(labels > 0, 0.5 + 0.1 * labels.cumsum(0), 0.05 * (1 - labels).cumsum(0))
    maps = torch.zeros(len(paths), 1, 8, 8)
    maps[:, 0, 0, 0] = scores
    chosen = [index for index, path in enumerate(paths) if names is None or path in names]
    images = SameImages()
    for part in (chosen[:3], chosen[3:]):
        batch = ImageBatch(
            image=torch.zeros(len(part), 3, 8, 8),
            image_path=[paths[index] for index in part],
            gt_label=labels[part],
            pred_score=scores[part],
            anomaly_map=maps[part],
        )
        images.add(batch, data)
    return images.draw(Model(transform), data)


def opened(panel: Panel) -> np.ndarray[Any, Any]:
    with Image.open(io.BytesIO(panel.content)) as picture:
        return np.asarray(picture.convert("L")).astype(int)


class TestChoice:
    @pytest.mark.parametrize(("count", "found"), [(1, "c"), (2, "bd"), (3, "ace"), (5, "abcde"), (9, "abcde")])
    def test_evenly_spread(self, count: int, found: str) -> None:
        assert spread("abcde", count) == [*found]

    def test_good_ones_first_whatever_the_order_of_the_images(self, data: SyntheticDefects) -> None:
        chosen = choose_images(data)
        assert len(chosen) == GOOD + ABNORMAL
        assert [Path(path).parent.name == "good" for path in chosen] == [True] * GOOD + [False] * ABNORMAL
        before = data.test_data.samples
        data.test_data.samples = before.iloc[::-1].reset_index(drop=True)
        try:
            assert choose_images(data) == chosen
        finally:
            data.test_data.samples = before

    def test_the_brightest_colour_is_the_median_of_abnormal_images(self) -> None:
        maps = [(torch.tensor([[0.0, value]]), value > 1) for value in (1.0, 2.0, 3.0, 50.0)]
        assert colour_range(maps) == (0, 3)
        assert colour_range(maps[:1]) == (0, 1)
        assert colour_range([]) == (0, 0)


class TestDrawing:
    def test_scores_are_those_of_the_model_beside_all_good_images(self, data: SyntheticDefects) -> None:
        images = drawn_by(data, Resize((8, 8)))
        chosen = choose_images(data)
        assert [image.path for image in images] == [Path(path).relative_to(data.root).as_posix() for path in chosen]
        assert [image.digest for image in images] == [sha256_of(Path(path)) for path in chosen]
        assert [image.is_abnormal for image in images] == [False, False, True, True, True, True]
        assert {image.good for image in images} == {4}
        assert [image.good_below for image in images[:2]] == [1, 3]  # of four good ones the second and the fourth
        assert {image.good_below for image in images[2:]} == {4}
        assert [image.score for image in images[:2]] == pytest.approx([0.1, 0.2])

    def test_good_images_are_dark_beside_abnormal_ones(self, data: SyntheticDefects) -> None:
        images = drawn_by(data, Resize((8, 8)))
        maps = [panel for image in images for panel in image.panels if panel.name == "map"]
        brightest = [opened(panel).max() for panel in maps]
        assert max(brightest[:2]) < 100
        assert min(brightest[4:]) > 180
        assert len({(panel.low, panel.high) for panel in maps}) == 1
        assert maps[0].low == 0
        assert [panel.name for panel in images[0].panels] == ["query", "mask", "map"]
        assert (opened(images[0].panels[1]).max(), opened(images[2].panels[1]).max()) == (0, 255)

    def test_a_map_that_cannot_be_brought_to_the_file_is_left_out(self, data: SyntheticDefects) -> None:
        images = drawn_by(data, RandomHorizontalFlip(1.0))
        assert {panel.name for image in images for panel in image.panels} == {"query", "mask"}
        assert images[0].score > 0

    def test_images_that_were_not_tested_are_left_out(self, data: SyntheticDefects) -> None:
        some = choose_images(data)[1:3]
        assert [Path(image.path).name for image in drawn_by(data, Resize((8, 8)), some)] == [
            Path(path).name for path in some
        ]


def picture(colour: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (colour, 30, 90)).save(buffer, kind)
    return buffer.getvalue()


def same_image(
    path: str, score: float, digest: str = "a", kinds: Sequence[str] = ("query", "mask", "map")
) -> SameImage:
    panels = [Panel(kind, f"{path[-5]}_{kind}.jpg", picture(50), low=0.0, high=2.0) for kind in kinds]
    return SameImage(path, digest, "good" not in path, score, 3, 7, panels)


def stored(folder: Path, rows: list[tuple[Row, list[SameImage]]]) -> None:
    """A table with the pictures of its runs."""
    table = write_table(folder / "runs.csv", [row for row, _ in rows])
    for row, (_, images) in zip(RunTable(table, RunRow).rows(), rows, strict=True):
        path = gallery_path(table, row)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pack([], images))


@pytest.fixture
def sweeps(tmp_path: Path) -> Path:
    """Three models, not all alike: one has an image more, one no map, and one was run twice."""
    good, bad, other = "t/good/0.png", "t/bad/1.png", "t/bad/2.png"
    stored(
        tmp_path,
        [
            (made_up_row("A", shots="0", image_AUROC="0.5"), [same_image(good, 9)]),
            (made_up_row("A", shots="1", seed="20", image_AUROC="0.5"), [same_image(good, 8)]),
            (made_up_row("A", shots="1", seed="10", image_AUROC="0.5"), [same_image(good, 0.25), same_image(bad, 0.5)]),
            (
                made_up_row("<B>", shots="2", image_AUROC="0.5"),
                [same_image(good, 11.5, kinds=["query"]), same_image(other, 99)],
            ),
            (made_up_row("C", shots="0", image_AUROC="0.5"), [same_image(good, 1, digest="b")]),
        ],
    )
    return tmp_path


class TestSideBySide:
    def test_a_column_of_each_model_and_a_row_of_each_image(self, sweeps: Path) -> None:
        [found] = read_pictures(read_runs(sweeps / "runs.csv")).side_by_side
        assert found.heads == [("A", "1 shot, seed 10"), ("<B>", "2 shots, seed 10"), ("C", "zero-shot, seed 10")]
        rows = [(row.kind, row.path, [shown.score for shown in row.shown]) for row in found.rows]
        assert rows == [
            ("good", "t/good/0.png", ["0.25", "11.5", ""]),
            ("good", "t/good/0.png", ["", "", "1"]),  # another image of the same path
            ("abnormal", "t/bad/1.png", ["0.5", "", ""]),
            ("abnormal", "t/bad/2.png", ["", "99", ""]),
        ]
        first, lacking, absent = found.rows[0].shown
        assert (first.rank, first.picture and first.picture.label) == ("above 3 of 7 good", "0 to 2")
        assert (lacking.picture, lacking.rank) == (None, "above 3 of 7 good")
        assert (absent.picture, absent.rank) == (None, "")
        assert all(row.query and row.mask for row in found.rows)

    def test_in_a_browser(self, sweeps: Path, tmp_path: Path) -> None:
        assert main(["report", str(sweeps)]) == 0
        found = look_at(sweeps / "report.html", tmp_path)
        assert found["images"] == 4 * 2 + 4  # each image and its mask, and four maps
        for fault in ("broken", "without_text", "hidden", "without_caption", "missing_targets", "cut_galleries"):
            assert found[fault] == 0, fault
        assert (found["loaded"], found["twice"], found["too_wide"]) == ([], [], False)
        page = (sweeps / "report.html").read_text(encoding="utf-8")
        assert page.count("no map</span>") == 1
        assert page.count("no picture</span>") == 2 + 2 + 2 + 1
        assert page.count('loading="lazy"') == page.count("<img ")
        assert "good image: &lt;B&gt;" not in page  # which lacks its map
        assert "abnormal image: &lt;B&gt; t/bad/2.png" in page
        assert look_at(sweeps / "report.html", tmp_path, width=400)["too_wide"] is False

    def test_an_archive_that_lacks_a_list_is_told(self, tmp_path: Path) -> None:
        with ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("index.json", "[]")
        with pytest.raises(ValueError, match=r"a.zip is damaged, or holds no pictures of a run: .*same.json"):
            unpack(tmp_path / "a.zip")

    def test_pictures_come_back(self, tmp_path: Path) -> None:
        images = [same_image("t/good/0.png", 2.5), same_image("t/bad/1.png", 3)]
        (tmp_path / "a.zip").write_bytes(pack([], images))
        assert unpack(tmp_path / "a.zip") == ([], images)

    @pytest.mark.parametrize(
        "change",
        [
            {"score": None},
            {"is_abnormal": 1},
            {"good": "7"},
            {"good_below": 0.5},
            {"path": 5},
            {"digest": None},
            {"x": 1},
        ],
    )
    def test_of_another_shape_they_are_told(self, tmp_path: Path, change: dict[str, Any]) -> None:
        entry = same_image("t/good/0.png", 2.5, kinds=())._asdict() | change
        with ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("index.json", "[]")
            archive.writestr("same.json", json.dumps([entry]))
        with pytest.raises(ValueError, match=r"a\.zip is damaged, or holds no pictures of a run"):
            unpack(tmp_path / "a.zip")
