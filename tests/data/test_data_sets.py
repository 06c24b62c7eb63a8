# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The configurations of the paper's data sets, as they stand, on miniatures in the layouts that they expect."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from anomalib.data import AnomalibDataModule
from anomalib.data.utils import LabelName
from PIL import Image

from anomalib_adaptclip.adapters.leakage import is_base
from anomalib_adaptclip.data import DTDSynthetic
from anomalib_adaptclip.data.catalogue import build_data_set, categories_of_data_set, data_set_names, find_data_configs
from anomalib_adaptclip.data.check import Counts, check_category, check_data_set
from anomalib_adaptclip.paper import read_table
from anomalib_adaptclip.prompts.selection import prompts_from_datamodule
from anomalib_adaptclip_cli.main import main

from .miniatures import COUNTS, HEIGHT, LAYOUTS, STAIN, WIDTH, mvtec_layout

WITHOUT_MASKS = {"br35h", "covid"}
WITHOUT_NORMAL = {"kvasir", "endo"}


def miniature(name: str, root: Path) -> AnomalibDataModule:
    LAYOUTS[name](root)
    module = build_data_set(name, root)
    module.num_workers = 0
    return module


def test_there_is_one_for_each_data_set_of_the_paper() -> None:
    tables = [read_table(number).dataset for number in (1, 2)]
    names = {name.lower() for table in tables for name in table if not name.startswith("AVG")}
    assert set(data_set_names()) == names == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_its_comment_lists_the_categories(name: str) -> None:
    text = (find_data_configs() / f"{name}.yaml").read_text()
    listed = re.search(r"^# Categories: (.*(?:\n#   .*)*)$", text, re.MULTILINE)
    told = re.split(r",\s*(?:#\s+)?", listed.group(1)) if listed else []
    assert told == categories_of_data_set(name)


@pytest.mark.parametrize("name", LAYOUTS)
def test_splits_and_masks(name: str, tmp_path: Path) -> None:
    module = miniature(name, tmp_path)
    report = check_category(module, name)
    assert report == (name, COUNTS[name], [])

    [batch] = module.test_dataloader()
    abnormal = batch.gt_label.bool()
    assert batch.image.shape == (COUNTS[name].test_normal + COUNTS[name].test_abnormal, 3, HEIGHT, WIDTH)
    assert int(abnormal.sum()) == COUNTS[name].test_abnormal
    if name in WITHOUT_MASKS:
        assert batch.gt_mask is None
        return
    expected = torch.zeros(len(abnormal), HEIGHT, WIDTH, dtype=torch.bool)
    rows, columns = STAIN
    expected[abnormal, rows, columns] = True
    torch.testing.assert_close(batch.gt_mask.as_subclass(torch.Tensor), expected)


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_test_split_is_whole_and_apart_from_the_train_split(name: str, tmp_path: Path) -> None:
    module = miniature(name, tmp_path)
    module.setup()
    validation, test, train = (
        set(data.samples.image_path) for data in (module.val_data, module.test_data, module.train_data)
    )
    assert validation == test
    assert test == train if name in WITHOUT_NORMAL else not test & train


@pytest.mark.parametrize("name", sorted(WITHOUT_NORMAL))
def test_without_normal_images_prompts_are_drawn_from_the_test_images(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = miniature(name, tmp_path)
    module.setup()
    assert set(module.train_data.samples.label_index) == {LabelName.ABNORMAL}
    [prompt] = prompts_from_datamodule(module, 1, seed=10)
    assert prompt in set(module.test_data.samples.image_path)
    assert "no normal images: abnormal ones serve as prompts" in caplog.text


def test_normal_prompts_stay_normal(tmp_path: Path) -> None:
    """A data module that does not say so gets no abnormal prompts."""
    module = miniature("kvasir", tmp_path)
    module.setup()
    module.prompts_are_abnormal = False  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="holds 0"):
        prompts_from_datamodule(module, 1, seed=10)


def test_adapters_trained_on_mvtec_ad_have_not_seen_dtd_synthetic() -> None:
    assert not is_base("MVTecAD", build_data_set("dtd"))
    assert is_base("MVTecAD", build_data_set("mvtec"))


def test_unknown_names_are_told() -> None:
    with pytest.raises(ValueError, match="no data set 'mvtech'; there are br35h, btad, "):
        build_data_set("mvtech")
    with pytest.raises(ValueError, match=r"no category 'Blotchy'\. Choose among Blotchy_099, "):
        DTDSynthetic(category="Blotchy")


def test_the_command_counts_each_category(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LAYOUTS["btad"](tmp_path)
    assert main(["data", "check", "btad", "--root", str(tmp_path)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [[cell for cell in row if cell != "│"] for row in rows] == [
        [category, "3", "2", "2", "2"] for category in ("01", "02", "03")
    ]


def test_the_command_tells_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mvtec_layout("01", "03", good="ok", bad="ko")(tmp_path)
    assert main(["data", "check", "btad", "--root", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert re.search(r"02 +│ \? +│ \? +│ \? +│ \? ", said)
    assert f"02: It cannot be listed: Path does not exist: {tmp_path / '02'}" in said


def test_the_command_refuses_unknown_names(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "check", "nothing"])
    assert ended.value.code == 2
    assert "There is no data set 'nothing'" in capsys.readouterr().err


def remove(*names: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        for path in [path for name in names for path in root.glob(name)]:
            path.unlink()

    return damage


def cut(root: Path) -> None:
    path = root / "bottle/test/good/001.png"
    path.write_bytes(path.read_bytes()[:200])


def shrink(root: Path) -> None:
    path = root / "bottle/ground_truth/broken_large/000_mask.png"
    Image.new("L", (WIDTH // 2, HEIGHT // 2), 255).save(path)


FAULTS = [
    ("mvtec", cut, r"1 images or masks cannot be read: \S*/bottle/test/good/001.png"),
    ("mvtec", shrink, r"1 masks have another size than their image: \S*/000_mask.png"),
    ("mvtec", remove("bottle/ground_truth/*/001_mask.png"), r"1 images have no mask: \S*/broken_large/001.png"),
    ("mvtec", remove("bottle/test/broken_large/001.png"), r"1 masks have no image: \S*/broken_large/001_mask.png"),
    ("mvtec", remove("bottle/test/good/*"), "There are no normal test images."),
    ("mvtec", remove("bottle/train/good/*"), "There are no normal train images."),
    ("mvtec", remove("bottle/test/broken_large/*", "bottle/ground_truth/*/*"), "There are no abnormal test images."),
    ("visa", remove("visa_pytorch/candle/ground_truth/bad/000.png"), r"1 images have no mask: \S*/bad/000.JPG"),
    ("btad", remove("01/ground_truth/ko/000.png"), r"1 abnormal images have no mask: \S*/test/ko/000.png"),
    ("mvtec3d", remove("bagel/test/crack/gt/001.png"), r"1 abnormal images have no mask: \S*/crack/rgb/001.png"),
    ("ksdd", remove("kos06/Part0_label.bmp"), r"1 images have no mask: \S*/kos06/Part0.jpg"),
    ("real-iad", remove("realiad_1024/*/NG/*/*_C1.jpg"), r"1 listed files are missing: \S*_NG_C1.jpg"),
    ("real-iad", remove("realiad_1024/*/NG/*/*_C1.png"), r"1 abnormal images have no mask: \S*_NG_C1.jpg"),
    ("br35h", remove("yes/*"), r"It cannot be listed: Found 0 \S+ images in \S*/yes"),
    ("kvasir", remove("masks/002.jpg"), r"1 of them have no mask in \S*/masks: \['002.jpg'\]"),
]


@pytest.mark.parametrize(("name", "damage", "message"), FAULTS)
def test_faults_are_found(name: str, damage: Callable[[Path], None], message: str, tmp_path: Path) -> None:
    module = miniature(name, tmp_path)
    damage(tmp_path)
    problems = check_category(module, name).problems
    assert any(re.search(message, problem) for problem in problems), problems


def test_all_faults_are_told_where_anomalib_cannot_list(tmp_path: Path) -> None:
    LAYOUTS["mvtec"](tmp_path)
    remove("bottle/ground_truth/*/001_mask.png", "bottle/train/good/*")(tmp_path)
    cut(tmp_path)
    [report] = [report for report in check_data_set("mvtec", tmp_path) if report.category == "bottle"]
    assert report.counts == Counts(0, 2, 2, 1)
    assert [problem.partition(":")[0].rstrip(".") for problem in report.problems] == [
        "1 images have no mask",
        "There are no normal train images",
        "1 images or masks cannot be read",
    ]


@pytest.mark.parametrize("name", ["mpdd", "visa", "kvasir"])
def test_a_missing_root_is_told_once(name: str, tmp_path: Path) -> None:
    [report] = check_data_set(name, tmp_path / "nowhere")
    assert report[:2] == (name, None)
    assert report.problems == [f"There is no folder {tmp_path / 'nowhere'}. Name that of the data set: --root PATH"]


def test_a_folder_of_something_else_is_told_once(tmp_path: Path) -> None:
    [report] = check_data_set("visa", tmp_path)
    [problem] = report.problems
    assert problem.startswith(f"{tmp_path / 'visa_pytorch'} should hold the folders of the categories, and has none of")
