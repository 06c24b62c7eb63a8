# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from anomalib_adaptclip.data.rendering import CATEGORIES, get_category, render_sample
from anomalib_adaptclip.data.synthetic_defects import FORMAT_VERSION

SIZE = 128
PAIRS = [(category, defect) for category in CATEGORIES for defect in get_category(category).defects]

# Mean grey level of one normal and one damaged image of each kind. If these change, raise FORMAT_VERSION.
MEANS = {
    "brushed_metal": 159.616,
    "carpet": 117.023,
    "leather": 95.496,
    "marble": 202.487,
    "perforated_sheet": 138.451,
    "terrazzo": 187.224,
    "tiles": 141.103,
    "weave": 117.285,
    "wire_mesh": 104.482,
    "wood": 159.863,
    "battery": 168.289,
    "bearing": 118.170,
    "bottle_cap": 134.960,
    "button": 123.181,
    "capsule": 166.314,
    "circuit_board": 106.204,
    "coin": 86.339,
    "cookie": 167.320,
    "gear": 171.685,
    "hex_nut": 93.011,
    "key": 72.558,
    "pill": 90.347,
    "screw": 187.217,
    "washer": 93.182,
}


def test_registry_is_rich_enough() -> None:
    facts = [get_category(name) for name in CATEGORIES]
    assert len(set(CATEGORIES)) == len(CATEGORIES) >= 16
    assert {fact.kind for fact in facts} == {"texture", "object"}
    assert all(len(set(fact.defects)) == len(fact.defects) >= 3 for fact in facts)
    assert {defect for fact in facts for defect in fact.defects} == {
        "scratch",
        "stain",
        "hole",
        "missing_part",
        "foreign_part",
    }
    assert len({fact.noun for fact in facts}) == len(facts)


@pytest.mark.parametrize("category", CATEGORIES)
def test_normal_images_vary_a_little(category: str) -> None:
    first, second = (render_sample(category, index, image_size=SIZE) for index in (0, 1))
    assert first.image.shape == (SIZE, SIZE, 3)
    assert first.image.dtype == np.uint8
    assert first.mask.max() == 0
    assert first.defect is None
    assert (first.image != second.image).mean() > 0.5
    np.testing.assert_allclose(first.image.mean(axis=(0, 1)), second.image.mean(axis=(0, 1)), atol=30)
    assert first.image.std() > 8.0


@pytest.mark.parametrize(("category", "defect"), PAIRS)
def test_mask_is_what_the_defect_changed(category: str, defect: str) -> None:
    for index in (0, 1):
        damaged = render_sample(category, index, series="test", defect=defect, image_size=SIZE)
        normal = render_sample(category, index, series="test", image_size=SIZE)
        inside = damaged.mask == 255
        np.testing.assert_array_equal(damaged.mask[~inside], 0)
        np.testing.assert_array_equal(damaged.image[~inside], normal.image[~inside])
        difference = np.abs(damaged.image.astype(int) - normal.image).max(axis=2)
        assert (difference[inside] >= 10).mean() > 0.6
        assert 0.003 <= inside.mean() <= 0.1
        assert damaged.defect == defect


def test_same_arguments_give_same_pixels_in_any_order() -> None:
    keys = [("gear", 0, "scratch"), ("wood", 3, None), ("coin", 1, "hole")]
    forward = [render_sample(c, i, defect=d, image_size=SIZE) for c, i, d in keys]
    backward = [render_sample(c, i, defect=d, image_size=SIZE) for c, i, d in reversed(keys)][::-1]
    for one, other in zip(forward, backward, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.mask, other.mask)


@pytest.mark.parametrize("category", CATEGORIES)
def test_pixels_are_those_of_this_format(category: str) -> None:
    kinds = (None, *get_category(category).defects)
    levels = [render_sample(category, 0, defect=defect, image_size=64).image.mean() for defect in kinds]
    assert FORMAT_VERSION == 1
    assert np.mean(levels) == pytest.approx(MEANS[category], abs=0.01)


def test_another_process_draws_the_same_pixels() -> None:
    script = (
        "import sys, anomalib_adaptclip.data.rendering as r;"
        f"sys.stdout.buffer.write(r.render_sample('leather', 2, defect='stain', image_size={SIZE}).image.tobytes())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, env=environment)
    here = render_sample("leather", 2, defect="stain", image_size=SIZE)
    assert done.stdout == here.image.tobytes()


@pytest.mark.parametrize("change", [{"seed": 1}, {"index": 1}, {"series": "test/good"}])
def test_seed_index_and_series_choose_the_image(change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {"category": "bearing", "index": 0, "image_size": SIZE}
    base, other = render_sample(**arguments), render_sample(**{**arguments, **change})
    assert (base.image != other.image).mean() > 0.5


def test_size_changes_sharpness_not_content() -> None:
    large, small = (render_sample("hex_nut", 0, image_size=size).image.astype(float) for size in (256, 128))
    shrunk = large.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3))
    assert np.abs(shrunk - small).mean() < 6.0


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no category 'nut'.*hex_nut"):
        render_sample("nut", 0)
    with pytest.raises(ValueError, match=r"cannot have the defect 'hole'.*scratch"):
        render_sample("hex_nut", 0, defect="hole")
    with pytest.raises(ValueError, match="at least 64 pixels, got 32"):
        render_sample("hex_nut", 0, image_size=32)
