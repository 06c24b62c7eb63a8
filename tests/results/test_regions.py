# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Regions in pixels of the file: area, score, outlines."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from anomalib_adaptclip.results.geometry import FileGeometry
from anomalib_adaptclip.results.regions import Region, mask_of, regions_of

SIZES = [(10, 20), (25, 33), (7, 9), (3, 4), (100, 90)]


def blobs(seed: int) -> torch.Tensor:
    return torch.rand(10, 20, generator=torch.Generator().manual_seed(seed)) > 0.6


def filled(region: Region, scale: int = 4) -> np.ndarray:
    """Polygons of a region as pixels of the box, each the middle of a few."""
    left, top, right, bottom = region.box
    canvas = Image.new("1", ((right - left) * scale, (bottom - top) * scale))
    for polygon in region.polygons:
        points = np.subtract(np.reshape(polygon, (-1, 2)), (left, top)) * scale - 0.5
        ImageDraw.Draw(canvas).polygon([tuple(point) for point in points.tolist()], fill=1)
    return np.array(canvas)[scale // 2 :: scale, scale // 2 :: scale]


def shoelace(polygon: list[int]) -> float:
    x, y = np.reshape(polygon, (-1, 2)).T
    return float(abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(4))
def test_boxes_are_those_of_the_pixels(size: tuple[int, int], seed: int) -> None:
    for region in regions_of(blobs(seed), FileGeometry().of(size, (10, 20))):
        left, top, right, bottom = region.box
        assert region.pixels.shape == (bottom - top, right - left)
        assert all(region.pixels.take(end, axis).any() for axis in (0, 1) for end in (0, -1))
        assert region.area == region.pixels.sum() > 0


@pytest.mark.parametrize("seed", range(4))
def test_polygons_enclose_the_pixels_and_nothing_else(seed: int) -> None:
    for region in regions_of(blobs(seed), FileGeometry().of((20, 40), (10, 20))):
        assert (filled(region) >= region.pixels).all()
        holes = sum(map(shoelace, region.polygons)) - region.area
        assert holes == (filled(region) & ~region.pixels).sum()


@pytest.mark.parametrize(("high", "wide"), [(1, 1), (1, 5), (4, 1), (3, 2)])
def test_thin_regions_have_outlines(high: int, wide: int) -> None:
    mask = torch.zeros(10, 20)
    mask[2 : 2 + high, 3 : 3 + wide] = 1
    [region] = regions_of(mask, FileGeometry().of((10, 20), (10, 20)))
    [polygon] = region.polygons
    assert sorted(zip(polygon[::2], polygon[1::2], strict=True)) == sorted(
        [(3, 2), (3, 2 + high), (3 + wide, 2), (3 + wide, 2 + high)]
    )
    assert region.area == high * wide


def test_a_region_has_its_own_largest_value() -> None:
    mask = torch.zeros(4, 6, dtype=torch.bool)
    mask[0, :2] = mask[2:, 3:] = True
    scores = torch.zeros(4, 6)
    scores[0, 1], scores[3, 4], scores[1, 1] = 0.5, 0.25, 1.0  # the last beside both
    found = regions_of(mask, FileGeometry().of((8, 6), (4, 6)), scores)
    assert [(region.box, region.area, region.score) for region in found] == [
        ((0, 0, 2, 2), 4, 0.5),
        ((3, 4, 6, 8), 12, 0.25),
    ]


def test_the_mask_of_a_file_is_that_of_its_regions() -> None:
    mask = blobs(0)
    found = mask_of(regions_of(mask, FileGeometry().of((10, 20), (10, 20))), (10, 20))
    assert found.dtype == np.uint8
    assert (found == mask.numpy() * 255).all()


def test_a_small_file_loses_no_thin_region() -> None:
    mask = torch.zeros(224, 224)
    mask[100, 100] = 1
    [region] = regions_of(mask, FileGeometry().of((16, 16), (224, 224)))
    assert (region.box, region.area) == ((7, 7, 8, 8), 1)
