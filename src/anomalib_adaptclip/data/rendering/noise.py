# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Random fields: they make two images of one category differ in grain, veins and blotches."""

import numpy as np

from .fields import resize
from .shapes import Array


def smooth_noise(rng: np.random.Generator, size: int, cells: int | tuple[int, int]) -> Array:
    """Return a ``(size, size)`` field, roughly in [-1, 1], with ``cells`` bumps a side or ``(rows, columns)`` bumps."""
    rows, columns = (cells, cells) if isinstance(cells, int) else cells
    return resize(rng.uniform(-1.0, 1.0, (rows, columns)), size, size)


def fractal_noise(rng: np.random.Generator, size: int, cells: int, octaves: int = 4, gain: float = 0.5) -> Array:
    """Return a ``(size, size)`` field, roughly in [-1, 1]: bumps, with finer and weaker bumps on them.

    Args:
        rng: Source of randomness.
        size: Samples a side.
        cells: Bumps a side of the coarsest octave; each further octave has twice as many.
        octaves: Number of octaves.
        gain: Strength of an octave relative to the one before it.
    """
    field = rng.uniform(-1.0, 1.0, (cells, cells))
    for octave in range(1, octaves):
        cells *= 2
        field = resize(field, cells, cells) + gain**octave * rng.uniform(-1.0, 1.0, (cells, cells))
    return resize(field, size, size)


def cell_noise(rng: np.random.Generator, size: int, cells: int) -> tuple[Array, Array, Array]:
    """Scatter one point into each of ``cells`` by ``cells`` squares and look at the nearest ones.

    Returns:
        Three ``(size, size)`` fields: the distance to the nearest point, how much farther the second nearest is (both
        in units of a square), and a random number in [0, 1] that belongs to the nearest point.
    """
    points = rng.uniform(0.1, 0.9, (2, cells + 2, cells + 2))
    shades = rng.uniform(0.0, 1.0, (cells + 2, cells + 2))
    position = (np.arange(size) + 0.5) * (cells / size)
    square = position.astype(np.intp)
    offset = position - square
    nearest, second, shade = np.full((size, size), 9.0), np.full((size, size), 9.0), np.zeros((size, size))
    for row in range(3):
        for column in range(3):
            where = np.ix_(square + row, square + column)
            dy = points[0][where] + (row - 1) - offset[:, None]
            dx = points[1][where] + (column - 1) - offset[None, :]
            distance = np.sqrt(dx * dx + dy * dy)
            closer = distance < nearest
            second = np.minimum(second, np.where(closer, nearest, distance))
            shade = np.where(closer, shades[where], shade)
            nearest = np.minimum(nearest, distance)
    return nearest, second - nearest, shade
