# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Regions of interest: what a mask, a box and a polygon become, and which are refused."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anomalib_adaptclip.files.plain_data import build_record
from anomalib_adaptclip.files.region_of_interest import RegionOfInterest, read_region


def share(source: list[float] | Path) -> float:
    region = read_region(source)
    assert region is not None
    return float(region.mask.float().mean())


@pytest.mark.parametrize("seed", range(3))
def test_runs_keep_a_mask(seed: int) -> None:
    mask = torch.rand(13, 7, generator=torch.Generator().manual_seed(seed)) > 0.5
    region = RegionOfInterest.of_mask(mask)
    assert torch.equal(region.mask, mask)
    plain = {name: list(value) for name, value in asdict(region).items()}
    assert build_record(RegionOfInterest, plain) == region


def test_a_box_covers_its_share() -> None:
    region = read_region([0.25, 0.5, 0.75, 1])
    assert region is not None
    rows, columns = region.mask.nonzero(as_tuple=True)
    assert [int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())] == [512, 1023, 256, 767]
    assert str(region) == "a region of 25.0% of the image (3897529b)"
    assert str(region) != str(read_region([0.5, 0.25, 1, 0.75]))


def test_a_polygon_covers_its_share() -> None:
    assert share([0, 0, 1, 0, 0, 1]) == pytest.approx(0.5, abs=0.002)
    assert share([0.25, 0.25, 0.75, 0.25, 0.75, 0.75, 0.25, 0.75]) == pytest.approx(0.25, abs=0.002)
    assert share([0, 0, 1, 1, 1, 0, 0, 1]) == pytest.approx(0.5, abs=0.003)  # it crosses itself


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (10, 200)])
def test_a_mask_is_white_inside(tmp_path: Path, values: tuple[int, int]) -> None:
    pixels = np.full((20, 30), values[0], np.uint8)
    pixels[5:15, 10:20] = values[1]
    Image.fromarray(pixels).save(tmp_path / "mask.png")
    assert share(tmp_path / "mask.png") == pytest.approx(100 / 600)


def test_none_stays_none_and_regions_stay() -> None:
    region = read_region([0, 0, 0.5, 0.5])
    assert read_region(None) is None
    assert read_region(region) is region


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([0.1, 0.2, 0.3], "a box of four numbers"),
        ([0.1, 0.2, 0.3, 0.4, 0.5], "of six and more"),
        ([0.0, 0.0, 320.0, 200.0], "shares of width and height"),
        ([0.5, 0.5, 0.2, 0.7], "no area"),
        ([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5], "no area"),
        ([0.1, 0.1, 0.5, 0.5, 0.9, 0.9], "no area"),
        ([-0.1, 0.0, 1.0, 1.0], "0 to 1"),
    ],
)
def test_numbers_that_are_no_region(source: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_region(source)


def test_masks_that_are_no_region(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no mask file"):
        read_region(tmp_path / "none.png")
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    with pytest.raises(ValueError, match="black all over"):
        read_region(tmp_path / "black.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png"):
        read_region(str(tmp_path / "text.png"))


@pytest.mark.parametrize("runs", [(4,), (1, 2), (-1, 5), (), (2, 0, 2)])
def test_damaged_runs_are_refused(runs: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="region of interest"):
        RegionOfInterest((2, 2), runs)
