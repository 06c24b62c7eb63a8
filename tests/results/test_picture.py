# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a picture shows of a photo."""

import io
import time
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import CenterCrop

from anomalib_adaptclip.results.geometry import FileGeometry
from anomalib_adaptclip.results.heat_scale import HeatScale
from anomalib_adaptclip.results.picture import (
    NOT_CALIBRATED,
    Panel,
    Verdict,
    panels_of,
    photo_pixels,
    render_picture,
)
from anomalib_adaptclip.results.picture_text import font, number, shortened

SCALE = HeatScale(0.1, 0.2, 0.8)
GREY = torch.full((3, 240, 320), 0.4)


def square(low: float = 0.0, high: float = 0.5) -> torch.Tensor:
    """A map of 24 x 32 pixels with a square at rows 6 to 12, columns 8 to 16."""
    values = torch.full((24, 32), low)
    values[6:12, 8:16] = high
    return values


def titles(panels: list[Panel]) -> list[str]:
    return [panel.title for panel in panels]


@pytest.mark.parametrize(
    ("photo", "panel"),
    [((240, 320), (240, 320)), ((100, 50), (320, 160)), ((3000, 4096), (750, 1024)), ((1, 4000), (1, 1024))],
)
def test_panels_have_the_shape_of_the_photo(photo: tuple[int, int], panel: tuple[int, int]) -> None:
    panels = panels_of(torch.zeros(3, *photo), square(), SCALE, truth=square())
    assert {part.pixels.shape for part in panels} == {(*panel, 3)}


def test_what_is_shown() -> None:
    assert titles(panels_of(GREY, square(), SCALE, truth=square(high=1.0))) == [
        "photo", "heat map", "1 region above the threshold", "ground truth",
    ]  # fmt: skip
    assert titles(panels_of(GREY, None, SCALE)) == ["photo"]
    assert titles(panels_of(GREY, square(high=0.15), SCALE, truth=torch.zeros(24, 32)))[2:] == [
        "no regions above the threshold", "ground truth: good",
    ]  # fmt: skip


def test_without_calibration_there_are_no_outlines() -> None:
    assert titles(panels_of(GREY, square(), HeatScale())) == ["photo", "heat map"]


def test_heat_lies_where_the_map_is_high() -> None:
    heat = panels_of(GREY, square(low=0.1), SCALE)[1].pixels
    assert heat[10, 10].tolist() == [102, 102, 102]  # the typical level is clear
    assert heat[90, 120].tolist() != [102, 102, 102]


def test_the_same_value_has_the_same_colour_in_all_pictures() -> None:
    one, other = (panels_of(GREY, square(high=high), SCALE)[1].pixels for high in (0.3, 0.3))
    hot = panels_of(GREY, square(0.3, 0.8), SCALE)[1].pixels
    assert one[90, 120].tolist() == other[90, 120].tolist() == hot[200, 300].tolist()


def test_outlines_follow_the_threshold() -> None:
    photo, _, regions = panels_of(GREY, square(), SCALE)
    changed = (photo.pixels != regions.pixels).any(axis=-1)
    rows, columns = np.nonzero(changed)
    edges = (rows.min(), rows.max(), columns.min(), columns.max())
    assert edges == pytest.approx((60, 120, 80, 160), abs=6)
    assert not changed[75:105, 95:145].any()  # outlined, not filled


def test_what_a_crop_left_out_is_hatched() -> None:
    geometry = FileGeometry([CenterCrop((120, 160))]).of((240, 320), (24, 32))
    heat = panels_of(GREY, torch.zeros(24, 32), SCALE, geometry=geometry)[1].pixels
    seen = (heat == 102).all(axis=-1)
    assert seen[60:180, 80:240].all()
    assert seen.sum() == 120 * 160


def test_what_lies_outside_the_region_of_interest_is_hatched() -> None:
    region = torch.zeros(48, 64, dtype=torch.bool)
    region[12:36, 16:48] = True
    heat = panels_of(GREY, torch.zeros(24, 32), SCALE, region=region)[1].pixels
    judged = (heat == 102).all(axis=-1)
    assert judged[60:180, 80:240].all()
    assert judged.sum() == 120 * 160


def test_a_mask_of_another_size_lies_where_it_belongs() -> None:
    geometry = FileGeometry([CenterCrop((120, 160))]).of((240, 320), (24, 32))
    small, large = (
        panels_of(GREY, square(), SCALE, geometry=geometry, truth=mask)[3].pixels
        for mask in (square(high=1), square(high=1).repeat_interleave(2, 0).repeat_interleave(2, 1))
    )
    np.testing.assert_array_equal(small, large)


@pytest.mark.parametrize(
    ("verdict", "word", "figures"),
    [
        (Verdict(0.4, 0.3, is_abnormal=True, share=0.02), "abnormal", "score 0.4, threshold 0.3, 2.0% of good photos"),
        (Verdict(0.2, 0.3, is_abnormal=False, share=0.5), "good", "score 0.2, threshold 0.3, 50% of good photos"),
        (Verdict(0.9, 0.3, is_abnormal=True, share=1e-7), "abnormal", "threshold 0.3, less than 0.1% of good photos"),
        (Verdict(0.2), "no verdict", f"score 0.2, {NOT_CALIBRATED}"),
        (Verdict(0.2, None, is_abnormal=True), "no verdict", NOT_CALIBRATED),
    ],
)
def test_captions(verdict: Verdict, word: str, figures: str) -> None:
    assert verdict.word == word
    assert figures in verdict.figures


def test_verdicts_are_told_apart_in_the_picture() -> None:
    bad, good = (render_picture(GREY, square(), SCALE, Verdict(0.4, 0.3, is_abnormal=label)) for label in (True, False))
    assert bad.size == good.size
    assert bad.tobytes() != good.tobytes()


@pytest.mark.parametrize("name", ["", "a" * 500, "Öse/Шов.png", "line\nbreak.png", "\udcff.png"])
def test_any_name_can_be_written(name: str) -> None:
    picture = render_picture(GREY[:, :40], square(), SCALE, Verdict(0.4, 0.3, is_abnormal=True), name=name)
    assert picture.size == render_picture(GREY[:, :40], square(), SCALE, Verdict()).size


def test_letters_beyond_ascii_are_drawn() -> None:
    assert bytes(font(20).getmask("ä")) != bytes(font(20).getmask("ö"))


def test_the_end_of_a_long_name_stays() -> None:
    assert shortened("some/long/folder/000.png", 90, font(13)).endswith("000.png")


def test_numbers_that_differ_read_differently() -> None:
    assert (number(0.12345), number(0.12345, 0.1231), number(0.5, 0.5)) == ("0.123", "0.1235", "0.5")


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_photos_keep_their_levels(level: float) -> None:
    assert photo_pixels(torch.full((3, 40, 50), level)).ravel().tolist()[0] == round(level * 255)


def test_a_picture_is_made_in_about_the_time_of_its_file() -> None:
    facts: Any = {"truth": square(high=1), "name": "000.png"}
    picture = render_picture(GREY, square(), SCALE, Verdict(0.4, 0.3, is_abnormal=True), **facts)
    drawing, writing = [], []
    for _ in range(5):
        start = time.process_time()
        picture = render_picture(GREY, square(), SCALE, Verdict(0.4, 0.3, is_abnormal=True), **facts)
        middle = time.process_time()
        picture.save(io.BytesIO(), "PNG", optimize=True)
        drawing.append(middle - start)
        writing.append(time.process_time() - middle)
    assert min(drawing) < 5 * min(writing)
