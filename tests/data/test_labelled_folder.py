# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""LabelledFolder: which images are in which part, which masks belong to which image, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from anomalib_adaptclip import LabelledFolder
from anomalib_adaptclip.data.labelled_folder import draw_parts


@pytest.fixture
def product(tmp_path: Path) -> Path:
    """Ten good images, six bad ones in two folders, masks of four."""
    for index in range(10):
        write(tmp_path / f"good/{index}.png")
    for index in range(3):
        for kind in ("dent", "stain"):
            write(tmp_path / f"bad/{kind}/{index}.png")
    for index in range(2):
        write(tmp_path / f"masks/dent/{index}.png")
        write(tmp_path / f"masks/stain/{index}_mask.bmp")
    return tmp_path


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((20, 30), 255, np.uint8)).save(path)


def set_up(root: Path, **options: object) -> LabelledFolder:
    datamodule = LabelledFolder("mine", root, **options)  # type: ignore[arg-type]
    datamodule.setup()
    return datamodule


def test_parts_share_nothing_and_lose_nothing(product: Path) -> None:
    inner, outer = (set_up(product, held_out_ratio=0.4, held_out=held_out) for held_out in (False, True))
    train = [*inner.train_data.samples.image_path]
    assert train == [*outer.train_data.samples.image_path]
    tested = [[*module.test_data.samples.image_path] for module in (inner, outer)]
    assert [len(part) for part in (train, *tested)] == [3, 3 + 4, 4 + 2]
    assert sorted([*train, *tested[0], *tested[1]]) == sorted(map(str, [*product.glob("[gb]*/**/*.png")]))
    assert inner.test_data.samples.label_index.sum() == 4


def test_masks_go_by_path(product: Path) -> None:
    samples = set_up(product).test_data.samples
    masks = {Path(row.image_path).relative_to(product): row.mask_path for row in samples.itertuples()}
    assert masks[Path("bad/dent/0.png")] == str(product / "masks/dent/0.png")
    assert masks[Path("bad/stain/1.png")] == str(product / "masks/stain/1_mask.bmp")
    assert masks[Path("bad/stain/2.png")] == ""
    assert samples.attrs["task"] == "classification"


def test_a_seed_decides(product: Path) -> None:
    drawn = [[*set_up(product, seed=seed).test_data.samples.image_path] for seed in (None, 10, 11)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(("normal", "abnormal", "held_out"), [(2, 1, 0.0), (4, 4, 0.0), (3, 2, 0.01), (4, 4, 0.99)])
def test_no_part_is_empty(normal: int, abnormal: int, held_out: float) -> None:
    files = [f"{index:02}" for index in range(normal)], [f"b{index:02}" for index in range(abnormal)]
    parts = draw_parts(*files, 0.5, held_out, seed=0)
    assert all(parts[:3])
    assert all(parts[3:]) == bool(held_out)
    assert sorted(file for part in parts for file in part) == [*files[0], *files[1]]
