# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The pictures of a run: which images, which maps, and that they cost nothing else."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.data import ImageBatch
from PIL import Image

from anomalib_adaptclip import SyntheticDefects
from anomalib_adaptclip.comparison import gallery, list_runs, read_sweep
from anomalib_adaptclip.comparison.gallery import Ranked, choose, rank
from anomalib_adaptclip.comparison.gallery_file import Pictures, unpack
from anomalib_adaptclip.comparison.run import execute
from anomalib_adaptclip.comparison.run_files import gallery_path
from anomalib_adaptclip.comparison.same_images import SameImages
from anomalib_adaptclip_cli.main import main

from .command import read_runs

SWEEP = """
models:
  AdaptCLIP: {model: {class_path: AdaptCLIP, init_args: {backbone: tiny, image_size: 112}}, shots: [0, 2, 1]}
  PatchCore: {model: {class_path: Patchcore, init_args: {backbone: resnet18, pre_trained: false}}, shots: [1, full]}
data_sets:
  made:
    data:
      class_path: SyntheticDefects
      init_args: {root: ROOT, image_size: 64, num_train_images: 4, num_normal_test_images: 2, num_images_per_defect: 1}
    categories: [marble]
seeds: [20, 10]
"""

pytestmark = pytest.mark.filterwarnings("ignore::lightning.fabric.utilities.warnings.PossibleUserWarning")


def write_sweep(folder: Path, text: str = SWEEP) -> Path:
    path = folder / "sweep.yaml"
    path.write_text(text.replace("ROOT", str(folder / "data")))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of AdaptCLIP, one-shot, with its report."""
    folder = tmp_path_factory.mktemp("gallery")
    sweep = write_sweep(
        folder, SWEEP.replace("[0, 2, 1]", "[1]").replace("[1, full]", "[]").replace("[20, 10]", "[20]")
    )
    results = folder / "results"
    assert main(["compare", "--config", str(sweep), "--output", str(results), "--accelerator", "cpu"]) == 0
    assert main(["report", str(results)]) == 0
    return results


@pytest.mark.parametrize(("greatest", "brightest"), [(1e-6, 0), (0.005, 128), (0.5, 255)])
def test_noise_is_not_stretched_to_full_contrast(greatest: float, brightest: int) -> None:
    panel = gallery._heat_map("x.png", "fused", torch.linspace(0, greatest, 16).reshape(4, 4), (4, 4))
    with Image.open(io.BytesIO(panel.content)) as picture:
        assert np.asarray(picture).max() == brightest


def entries(results: Path) -> list[Pictures]:
    [row] = read_runs(results / "runs.csv")
    return unpack(gallery_path(results / "runs.csv", row))[0]


def opened(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


class TestChoice:
    def test_by_pixel_ap(self) -> None:
        images = [Ranked(name, 0.5, quality) for name, quality in zip("abcde", (0.3, 0.9, 0.1, 0.5, None), strict=True)]
        chosen = choose(images)
        assert {name: image.path for name, (image, _, _) in chosen.items()} == {
            "best": "b",
            "median": "d",
            "worst": "c",
        }
        assert [(measure, quality) for _, measure, quality in chosen.values()] == [
            ("pixel AP", 0.9), ("pixel AP", 0.5), ("pixel AP", 0.1),
        ]  # fmt: skip
        assert list(chosen) == ["best", "median", "worst"]

    def test_by_score_where_there_are_no_masks(self) -> None:
        chosen = choose([Ranked("a", 0.2, None), Ranked("b", 0.8, None), Ranked("c", 0.4, None)])
        assert {name: image.path for name, (image, _, _) in chosen.items()} == {
            "best": "b",
            "median": "c",
            "worst": "a",
        }
        assert {measure for _, measure, _ in chosen.values()} == {"score"}

    @pytest.mark.parametrize(("count", "names"), [(0, []), (1, ["best"]), (2, ["best", "worst"])])
    def test_of_few(self, count: int, names: list[str]) -> None:
        assert list(choose([Ranked(str(index), index / 10, None) for index in range(count)])) == names

    def test_only_abnormal_images_are_ranked(self) -> None:
        maps = torch.zeros(3, 1, 4, 4)
        maps[1, 0, 1, 1] = 1
        masks = torch.zeros(3, 4, 4, dtype=torch.bool)
        masks[1:, 1, 1] = True
        batch = ImageBatch(
            image=torch.zeros(3, 3, 4, 4),
            image_path=["good", "found", "missed"],
            gt_label=torch.tensor([0, 1, 1]),
            gt_mask=masks,
            pred_score=torch.tensor([0.1, 0.9, 0.25]),
            anomaly_map=maps,
        )
        found, missed = rank(batch)
        assert found == Ranked("found", pytest.approx(0.9), pytest.approx(1))  # type: ignore[arg-type]
        assert missed == Ranked("missed", 0.25, pytest.approx(1 / 16))  # type: ignore[arg-type]


class TestRun:
    def test_which_runs_have_pictures(self, tmp_path: Path) -> None:
        runs = list_runs(read_sweep(write_sweep(tmp_path)))
        assert [(run.model, run.shots, run.seed) for run in runs if run.gallery] == [
            ("AdaptCLIP", 1, 20),
            ("PatchCore", 1, 20),
        ]

    def test_a_model_that_sees_all_images_has_pictures_of_that(self, tmp_path: Path) -> None:
        runs = list_runs(read_sweep(write_sweep(tmp_path, SWEEP.replace("[1, full]", "[full]"))))
        assert [(run.model, run.shots) for run in runs if run.gallery] == [("AdaptCLIP", 1), ("PatchCore", "full")]

    def test_switched_off_the_configuration_is_the_same(self, tmp_path: Path) -> None:
        on = list_runs(read_sweep(write_sweep(tmp_path)))
        off = list_runs(read_sweep(write_sweep(tmp_path, SWEEP + "gallery: false\n")))
        assert not any(run.gallery for run in off)
        assert [run.configuration for run in on] == [run.configuration for run in off]

    @pytest.mark.parametrize(("value", "told"), [("some", "'some'"), ("[]", r"\[\]")])
    def test_wrong_key(self, value: str, told: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=f"gallery must be true or false, got {told}"):
            read_sweep(write_sweep(tmp_path, SWEEP + f"gallery: {value}\n"))

    def test_best_median_and_worst(self, folder: Path) -> None:
        best, median, worst = entries(folder)
        assert [entry.rank for entry in (best, median, worst)] == ["best", "median", "worst"]
        assert 1 >= best.quality >= median.quality >= worst.quality >= 0
        assert len({entry.panels[0].path for entry in (best, median, worst)}) == 3
        maps = ["visual", "textual", "prompt_query", "alignment", "fused"]
        [row] = read_runs(folder / "runs.csv")
        for entry in (best, median, worst):
            assert entry.measure == "pixel AP"
            assert [panel.name for panel in entry.panels] == ["query", "prompt", *maps, "mask"]
            assert entry.panels[0].path.startswith("marble/test/")
            assert [entry.panels[1].path] == json.loads(row.prompts)
            for panel in entry.panels:
                assert opened(panel.content).size == (160, 160)
                assert (panel.low is not None) == (panel.name in maps)
                if panel.low is not None and panel.high is not None:
                    assert 0 <= panel.low < panel.high <= 1

    def test_a_bright_map_is_the_defect(self, folder: Path) -> None:
        """The best image is segmented well, so its fused map is brighter inside the mask than outside."""
        panels = {panel.name: panel.content for panel in entries(folder)[0].panels}
        mask = np.asarray(opened(panels["mask"])) > 127
        fused = np.asarray(opened(panels["fused"]).convert("L")).astype(float)
        assert 0 < mask.mean() < 0.5
        assert fused[mask].mean() > 2 * fused[~mask].mean()

    def test_of_images_that_are_not_square_behind_a_link(self, tmp_path: Path) -> None:
        """All pictures have the shape of the image, and paths are those in the data set."""
        data = SyntheticDefects(
            tmp_path / "real", "marble", image_size=64, num_train_images=2, num_normal_test_images=1,
            num_images_per_defect=1,
        )  # fmt: skip
        data.prepare_data()
        for path in (tmp_path / "real").rglob("*.png"):
            with Image.open(path) as image:
                image.resize((64, 48), Image.Resampling.NEAREST).save(path)
        (tmp_path / "data").symlink_to(tmp_path / "real", target_is_directory=True)
        made = SWEEP[SWEEP.index("class_path: SyntheticDefects") : SWEEP.index("    categories")]
        real = "class_path: MVTecAD\n      init_args: {root: ROOT, num_workers: 0}\n"
        text = SWEEP.replace("[0, 2, 1]", "[1]").replace("[1, full]", "[]").replace(made, real)
        [run, _] = list_runs(read_sweep(write_sweep(tmp_path, text)))
        row, pictures, _ = execute(run, "cpu")
        assert row.error == ""
        assert [Path(path).parts[:2] for path in json.loads(row.prompts)] == [("marble", "train")]
        (tmp_path / "pictures.zip").write_bytes(pictures)
        for entry in unpack(tmp_path / "pictures.zip")[0]:
            assert entry.panels[0].path.startswith("marble/test/")
            assert {opened(panel.content).size for panel in entry.panels} == {(160, 120)}

    def test_they_are_in_the_report(self, folder: Path) -> None:
        page = (folder / "report.html").read_text(encoding="utf-8")
        assert page.count("<img ") == 24 + 3 * 5  # of each image that all models show, itself, its mask and its map
        assert "marble, AdaptCLIP, 1 shot, seed 20" in page
        for name in ("visual adapter", "textual adapter", "prompt-query adapter", "alignment", "fused", "mask"):
            assert f">{name}</th>" in page

    def test_without_pictures_the_figures_are_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            msg = "no room"
            raise OSError(msg)

        monkeypatch.setattr(gallery, "draw", fail)
        monkeypatch.setattr(SameImages, "draw", fail)
        [run] = [
            run for run in list_runs(read_sweep(write_sweep(tmp_path))) if run.gallery and run.model == "AdaptCLIP"
        ]
        row, pictures, _ = execute(run, "cpu")
        assert row.error == ""
        assert (row.pixel_AP or 0) > 0
        assert pictures == b""
