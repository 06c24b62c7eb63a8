# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

import numpy as np
import pytest

from anomalib_adaptclip.data.rendering import shapes
from anomalib_adaptclip.data.rendering.colours import mix, rgb
from anomalib_adaptclip.data.rendering.fields import shift
from anomalib_adaptclip.data.rendering.lighting import shade
from anomalib_adaptclip.data.rendering.noise import cell_noise, fractal_noise
from anomalib_adaptclip.data.rendering.placement import blob, contrasting, stroke
from anomalib_adaptclip.data.rendering.scene import Scene, remove_material
from anomalib_adaptclip.data.rendering.shapes import Array


def at(*values: float) -> Array:
    return np.array(values)


def scene(size: int, body: Array | None = None) -> Scene:
    grey = np.full((3, size, size), 0.5)
    return Scene(grey, grey * 0.2, np.ones((size, size)) if body is None else body)


def test_distances_at_known_points() -> None:
    x, y = at(0.0, 1.0, 0.5), at(0.0, 0.0, 0.5)
    np.testing.assert_allclose(shapes.circle(x, y, 0.5), [-0.5, 0.5, np.sqrt(0.5) - 0.5])
    np.testing.assert_allclose(shapes.box(x, y, 0.5, 0.25), [-0.25, 0.5, 0.25])
    np.testing.assert_allclose(shapes.polygon(x, y, 4, 0.5), [-0.5, 0.5, 0.0], atol=1e-12)
    np.testing.assert_allclose(shapes.segment(x, y, at(0.0, -1.0), at(0.0, 1.0)), [0.0, 1.0, 0.5])


def test_outlines_pass_through_their_corners() -> None:
    angle = np.pi / 5.0
    x, y = at(0.8, 0.3 * np.cos(angle)), at(0.0, 0.3 * np.sin(angle))
    np.testing.assert_allclose(shapes.star(x, y, 5, 0.8, 0.3), 0.0, atol=1e-12)
    np.testing.assert_allclose(shapes.ellipse(at(0.7, 0.0), at(0.0, 0.4), 0.7, 0.4), 0.0, atol=1e-12)


def test_cover_and_dome_are_monotonous_ramps() -> None:
    np.testing.assert_allclose(shapes.cover(at(-1.0, -0.25, 0.0, 0.25, 1.0), 1.0), [1.0, 0.75, 0.5, 0.25, 0.0])
    np.testing.assert_allclose(shapes.dome(at(0.5, 0.0, -0.5, -1.0, -2.0), 1.0), [0.0, 0.0, 0.75, 1.0, 1.0])
    np.testing.assert_allclose(shapes.smooth_step([0.0, 1.0, 1.5, 2.0, 3.0], 1.0, 2.0), [0.0, 0.0, 0.5, 1.0, 1.0])


def test_span_selects_the_samples_between_two_coordinates() -> None:
    x, _ = shapes.axes(8)
    np.testing.assert_allclose(x[0, shapes.span(8, -0.5, 0.25)], [-0.375, -0.125, 0.125])
    assert x[0, shapes.span(8, -9.0, -5.0)].size == 0


def test_repeat_around_folds_into_one_sector() -> None:
    x, y = shapes.repeat_around(at(1.0, 0.0, -1.0), at(0.0, 1.0, 0.0), 4)
    np.testing.assert_allclose(x, 1.0)
    np.testing.assert_allclose(y, 0.0, atol=1e-12)


def test_noise_stays_in_range_and_has_its_size() -> None:
    rng = np.random.default_rng(0)
    field = fractal_noise(rng, 48, 4)
    assert field.shape == (48, 48)
    assert 0.5 < np.abs(field).max() < 2.5
    nearest, gap, shade_of_cell = cell_noise(rng, 40, 5)
    assert 0.0 <= nearest.min() < nearest.max() < 1.5
    assert gap.min() >= 0.0
    assert len(np.unique(shade_of_cell)) > 10


@pytest.mark.parametrize("fraction", [0.01, 0.06])
def test_blob_takes_its_area_from_the_body(fraction: float) -> None:
    body = np.zeros((128, 128))
    body[:, 40:90] = 1.0
    distance = blob(scene(128, body), np.random.default_rng(1), at(0.0, 0.2), fraction, 0.3)
    assert ((distance < 0.0) & (body > 0.5)).mean() == pytest.approx(fraction, abs=1e-4)


def test_stroke_has_the_area_of_its_line() -> None:
    drawn = stroke(200, np.array([[-0.5, 0.0], [0.5, 0.0]]), at(0.1, 0.1))
    assert 4.0 * drawn.mean() == pytest.approx(0.1 + np.pi * 0.05**2, rel=0.03)
    assert stroke(64, np.array([[2.0, 2.0], [3.0, 3.0]]), at(0.1, 0.1)).max() == 0.0


def test_contrasting_takes_the_first_clear_colour_or_the_farthest() -> None:
    grey, rng, weight = scene(8), np.random.default_rng(0), np.ones((8, 8))
    np.testing.assert_array_equal(contrasting(rng, grey, weight, np.stack([rgb(0x7F7F7F), rgb(0xFFFFFF)])), 1.0)
    faint = contrasting(rng, grey, weight, np.stack([rgb(0x808080), rgb(0x909090)]))
    np.testing.assert_array_equal(faint, rgb(0x909090))


def test_level_relief_keeps_its_colour_and_slopes_to_the_light_are_brighter() -> None:
    colour = rgb(0x808080)
    flat = shade(colour, np.zeros((8, 8)), gloss=1.0)
    np.testing.assert_allclose(flat, np.broadcast_to(colour, flat.shape))
    x, _ = shapes.axes(8)
    rising = np.broadcast_to(0.3 * x, (8, 8))
    assert shade(colour, rising).mean() > flat.mean() > shade(colour, -rising).mean()


def test_move_fills_from_the_border() -> None:
    field = np.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(shift(field, 0.5, 0.0)[0], [0.0, 0.0, 1.0, 2.0])
    np.testing.assert_array_equal(shift(field, 0.0, -0.5)[:, 0], [4.0, 8.0, 12.0, 12.0])


def test_taking_away_shows_the_ground() -> None:
    x, y = shapes.axes(64)
    layer = remove_material(scene(64), shapes.circle(x, y, 0.5))
    assert layer.alpha[32, 32] == 1.0
    assert layer.alpha[2, 2] == 0.0
    ground = mix(scene(64).image, layer.colour, layer.alpha)[:, 32, 32]
    np.testing.assert_allclose(ground, 0.1, atol=0.01)
