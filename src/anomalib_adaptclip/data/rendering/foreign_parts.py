# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Objects that do not belong in the image: a ring, a bead, a chip of plastic, a thread, a scrap of paper."""

import numpy as np

from .colours import mix, rgb
from .fields import blur
from .lighting import cast_shadow, shade
from .placement import contrasting, random_area, random_point, stroke
from .scene import Layer, Scene
from .shapes import Array, axes, box, circle, cover, dome, polygon, rotate

_COLOURS = np.stack(
    [rgb(code) for code in (0xD9362B, 0x2C64B8, 0xE9C531, 0x2E9A56, 0xF0EEE8, 0x232427, 0xC9CCD0, 0xD77B2E)],
)


def foreign_part(scene: Scene, rng: np.random.Generator) -> Layer:
    """A small thing lies on the scene; its shadow counts as part of it."""
    shape, height = _KINDS[int(rng.integers(len(_KINDS)))](scene, rng)
    colour = contrasting(rng, scene, shape, _COLOURS)
    light = cast_shadow(shape, 0.025)
    shadowed = (light < 0.9).astype(np.float64)
    return Layer(np.maximum(shape, shadowed), mix(scene.image * light, shade(colour, height, 0.4), shape))


# Each kind returns coverage and height, both ``(N, N)``.


def _pose(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return ``(N, N)`` coordinates about a random spot, rotated at random."""
    x, y = axes(scene.body.shape[0])
    centre = random_point(scene, rng, 0.5)
    return rotate(x - centre[0], y - centre[1], rng.uniform(0.0, 2.0 * np.pi))


def _solid(distance: Array, rise: float, width: float) -> tuple[Array, Array]:
    """Return coverage and height of a thing with rounded edges."""
    return cover(distance, 2.0 / distance.shape[0]), rise * dome(distance, width)


def _ring(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array]:
    radius = np.sqrt(4.0 * random_area(rng, 0.012, 0.05) / np.pi)
    distance = np.abs(circle(*_pose(scene, rng), 0.75 * radius)) - 0.25 * radius
    return _solid(distance, 0.05, 0.04)


def _bead(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array]:
    radius = np.sqrt(4.0 * random_area(rng, 0.006, 0.03) / np.pi)
    distance = circle(*_pose(scene, rng), radius)
    return cover(distance, 2.0 / distance.shape[0]), 0.6 * np.sqrt(
        np.maximum(radius**2 - (distance + radius) ** 2, 0.0)
    )


def _chip(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array]:
    radius = np.sqrt(4.0 * random_area(rng, 0.008, 0.04) / np.pi)
    x, y = _pose(scene, rng)
    stretch = rng.uniform(1.0, 1.6)
    return _solid(polygon(x / stretch, y * stretch, int(rng.integers(3, 7)), 0.85 * radius), 0.04, 0.04)


def _thread(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array]:
    heading = rng.uniform(0.0, 2.0 * np.pi) + np.cumsum(rng.normal(0.0, 0.22, 60))
    steps = np.stack([np.cos(heading), np.sin(heading)], axis=1) * rng.uniform(0.015, 0.03)
    path = np.cumsum(steps, axis=0)
    centre = random_point(scene, rng, 0.5)
    shape = stroke(scene.body.shape[0], path - path.mean(axis=0) + centre, np.full(60, rng.uniform(0.02, 0.035)))
    return shape, 0.03 * blur(shape, 0.02)


def _scrap(scene: Scene, rng: np.random.Generator) -> tuple[Array, Array]:
    side = np.sqrt(random_area(rng, 0.015, 0.06))
    x, y = _pose(scene, rng)
    torn = side * (0.1 * np.sin(4.0 * y / side + rng.uniform(0.0, 6.0)) + 0.04 * np.sin(11.0 * y / side))
    crease = np.abs(x - 0.3 * y) * 0.12
    distance = box(x + torn, y, side * rng.uniform(0.8, 1.2), side * rng.uniform(0.6, 1.0))
    return cover(distance, 2.0 / distance.shape[0]), crease


_KINDS = (_ring, _bead, _chip, _thread, _scrap)
