# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.data import MVTecAD
from jsonargparse import ArgumentParser
from PIL import Image

from anomalib_adaptclip.data import SyntheticDefects, synthetic_defects
from anomalib_adaptclip.data.rendering import get_category, render_sample

FEW = {"image_size": 64, "num_train_images": 3, "num_normal_test_images": 2, "num_images_per_defect": 2}
DEFECTS = get_category("gear").defects


def few(root: Path, **change: Any) -> SyntheticDefects:
    return SyntheticDefects(**{"root": root, "category": "gear", **FEW, **change})


def names(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def test_yields_batches_with_masks(tmp_path: Path) -> None:
    datamodule = few(tmp_path, train_batch_size=2)
    datamodule.prepare_data()
    datamodule.setup()
    train, test = next(iter(datamodule.train_dataloader())), next(iter(datamodule.test_dataloader()))
    assert train.image.shape == (2, 3, 64, 64)
    assert test.image.shape == (2 + 2 * len(DEFECTS), 3, 64, 64)
    assert test.image.dtype == torch.float32
    assert test.gt_mask.shape == (2 + 2 * len(DEFECTS), 64, 64)
    torch.testing.assert_close(test.gt_mask.flatten(1).any(dim=1), test.gt_label.bool())
    assert int(test.gt_label.sum()) == 2 * len(DEFECTS)
    assert len(datamodule.val_data) == len(datamodule.test_data)


def test_layout_is_that_of_mvtec_ad(tmp_path: Path) -> None:
    few(tmp_path).prepare_data()
    expected = {f"gear/train/good/{i:03d}.png" for i in range(3)} | {f"gear/test/good/{i:03d}.png" for i in range(2)}
    expected |= {f"gear/test/{defect}/{i:03d}.png" for defect in DEFECTS for i in range(2)}
    expected |= {f"gear/ground_truth/{defect}/{i:03d}_mask.png" for defect in DEFECTS for i in range(2)}
    assert names(tmp_path) == expected | {"gear/manifest.json"}
    theirs = MVTecAD(root=tmp_path, category="gear", num_workers=0)
    theirs.prepare_data()
    theirs.setup()
    assert (len(theirs.train_data), len(theirs.test_data)) == (3, 2 + 2 * len(DEFECTS))


def test_files_hold_the_rendered_samples(tmp_path: Path) -> None:
    few(tmp_path, seed=5).prepare_data()
    sample = render_sample("gear", 1, series="test/stain", defect="stain", seed=5, image_size=64)
    image = Image.open(tmp_path / "gear/test/stain/001.png")
    mask = Image.open(tmp_path / "gear/ground_truth/stain/001_mask.png")
    np.testing.assert_array_equal(np.asarray(image), sample.image)
    np.testing.assert_array_equal(np.asarray(mask), sample.mask)


def test_more_images_leave_the_others_as_they_are(tmp_path: Path) -> None:
    few(tmp_path / "few").prepare_data()
    few(tmp_path / "more", num_train_images=5, num_images_per_defect=3).prepare_data()
    for name in names(tmp_path / "few") - {"gear/manifest.json"}:
        assert (tmp_path / "few" / name).read_bytes() == (tmp_path / "more" / name).read_bytes()


def test_a_thousand_images_keep_their_masks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = render_sample("gear", 0, defect="stain", image_size=64)
    monkeypatch.setattr(synthetic_defects, "render_sample", lambda *_args, **_kwargs: tiny)
    datamodule = few(tmp_path, category="terrazzo", num_images_per_defect=1001)
    datamodule.prepare_data()
    datamodule.setup()
    damaged = datamodule.test_data.samples.query("label_index == 1")
    assert len(damaged) == 3 * 1001
    assert [Path(p).stem + "_mask" for p in damaged.image_path] == [Path(p).stem for p in damaged.mask_path]


def test_setup_alone_reads_what_is_there(tmp_path: Path) -> None:
    few(tmp_path).prepare_data()
    datamodule = few(tmp_path)
    datamodule.setup()
    assert len(datamodule.train_data) == 3


def test_setup_without_data_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no images in .*gear.*prepare_data"):
        few(tmp_path).setup()


def test_data_that_are_there_are_kept(tmp_path: Path) -> None:
    few(tmp_path).prepare_data()
    before = (tmp_path / "gear/train/good/000.png").stat().st_mtime_ns
    few(tmp_path).prepare_data()
    assert (tmp_path / "gear/train/good/000.png").stat().st_mtime_ns == before


@pytest.mark.parametrize("method", ["prepare_data", "setup"])
def test_data_of_other_parameters_are_refused(tmp_path: Path, method: str) -> None:
    few(tmp_path).prepare_data()
    with pytest.raises(ValueError, match=r"seed is 0, asked for 3; num_train_images is 3, asked for 4.*another root"):
        getattr(few(tmp_path, seed=3, num_train_images=4), method)()


def test_data_of_another_format_are_refused(tmp_path: Path) -> None:
    few(tmp_path).prepare_data()
    manifest = tmp_path / "gear/manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "format_version": 0}))
    with pytest.raises(ValueError, match="format_version is 0, asked for 1"):
        few(tmp_path).prepare_data()


def test_a_foreign_folder_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "gear").mkdir()
    (tmp_path / "gear/notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"not made by SyntheticDefects.*another root"):
        few(tmp_path).prepare_data()
    assert names(tmp_path) == {"gear/notes.txt"}


def test_an_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop_at_third(category: str, index: int, **options: Any) -> Any:
        if index == 2:
            raise KeyboardInterrupt
        return render_sample(category, index, **options)

    monkeypatch.setattr(synthetic_defects, "render_sample", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        few(tmp_path).prepare_data()
    assert list(tmp_path.iterdir()) == []


def test_the_draft_of_a_killed_run_is_ignored(tmp_path: Path) -> None:
    draft = tmp_path / ".gear-0123/train/good"
    draft.mkdir(parents=True)
    (draft / "000.png").write_bytes(b"half an image")
    datamodule = few(tmp_path)
    datamodule.prepare_data()
    datamodule.setup()
    assert len(datamodule.train_data) == 3


@pytest.mark.parametrize(("seed", "agrees"), [(0, True), (1, False)])
def test_the_slower_of_two_processes_uses_the_other_ones_images(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    agrees: bool,
) -> None:
    slow, fast = few(tmp_path), few(tmp_path, seed=seed)
    draw = slow._draw

    def overtaken(folder: Path) -> None:
        draw(folder)
        fast.prepare_data()

    monkeypatch.setattr(slow, "_draw", overtaken)
    if agrees:
        slow.prepare_data()
        slow.setup()
        assert len(slow.train_data) == 3
    else:
        with pytest.raises(ValueError, match="seed is 1, asked for 0"):
            slow.prepare_data()
    assert [path.name for path in tmp_path.iterdir()] == ["gear"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": "hazelnut"}, r"no category 'hazelnut'.*wood.*bearing"),
        ({"image_size": 63}, "image_size must be at least 64, got 63"),
        ({"num_train_images": 0}, "num_train_images must be at least 1, got 0"),
        ({"num_normal_test_images": 0}, "num_normal_test_images must be at least 1, got 0"),
        ({"num_images_per_defect": -1}, "num_images_per_defect must be at least 1, got -1"),
        ({"seed": -1}, "seed must be at least 0, got -1"),
    ],
)
def test_bad_input_is_refused_at_once(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        few(tmp_path, **change)
    assert list(tmp_path.iterdir()) == []


def test_every_argument_can_come_from_the_command_line(tmp_path: Path) -> None:
    parser = ArgumentParser()
    parser.add_class_arguments(SyntheticDefects, "data", fail_untyped=True)
    options = {"root": tmp_path, "category": "coin", "seed": 2, **FEW}
    parsed = parser.parse_args([f"--data.{name}={value}" for name, value in options.items()])
    datamodule = parser.instantiate_classes(parsed).data
    assert (datamodule.category, datamodule.seed, datamodule.root) == ("coin", 2, tmp_path)
    assert datamodule.parameters == {"seed": 2, **FEW}
