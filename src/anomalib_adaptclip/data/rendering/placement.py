# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Where a defect sits, how large it is, and which colour makes it visible."""

import math

import numpy as np

from .colours import mean_colour
from .fields import resize
from .noise import fractal_noise
from .scene import Scene
from .shapes import Array, axes, cover, rotate, segment, span

_COARSE = 32


def random_point(scene: Scene, rng: np.random.Generator, low: float = 0.95, high: float = 1.0) -> Array:
    """Draw a point (x, y) around which the material covers between ``low`` and ``high`` of the area, off the border."""
    coarse = resize(scene.body, _COARSE, _COARSE)
    inner = coarse[3:-3, 3:-3]
    fit = np.argwhere((inner >= low) & (inner <= high + 1e-6))
    if len(fit) == 0:
        fit = np.argwhere(inner >= inner.max() - 1e-6)
    row, column = fit[int(rng.integers(len(fit)))]
    jitter = rng.uniform(0.0, 1.0, 2)
    point: Array = (np.array([column, row]) + 3.0 + jitter) * (2.0 / _COARSE) - 1.0
    return point


def random_area(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a fraction of the image; small ones are as frequent as large ones on a logarithmic scale."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def blob(scene: Scene, rng: np.random.Generator, centre: Array, fraction: float, ragged: float) -> Array:
    """Return the distance to a patch of the material about ``centre`` that takes ``fraction`` of the image.

    Args:
        scene: The scene; the patch takes its area from its ``body``.
        rng: Source of randomness.
        centre: Point (x, y).
        fraction: Area in (0, 1), at most half of the body.
        ragged: 0 for an ellipse, 0.5 for a very uneven outline.
    """
    size = scene.body.shape[0]
    x, y = axes(size)
    stretch, angle = rng.uniform(1.0, 1.6), rng.uniform(0.0, np.pi)
    u, v = rotate(x - centre[0], y - centre[1], angle)
    radius = math.sqrt(4.0 * fraction / np.pi)
    bumps = fractal_noise(rng, size, max(4, int(2.0 / radius)), 3)
    field: Array = np.sqrt(u * u / stretch + v * v * stretch) + ragged * radius * bumps
    inside = field[scene.body > 0.5]
    rank = min(round(fraction * size * size), inside.size // 2)
    return field - float(np.partition(inside, rank)[rank])


def stroke(size: int, points: Array, widths: Array) -> Array:
    """Draw a line through ``(P, 2)`` points (x, y) with ``(P,)`` widths; returns ``(N, N)`` coverage."""
    x, y = axes(size)
    coverage = np.zeros((size, size))
    for start, end, width in zip(points[:-1], points[1:], widths[:-1], strict=True):
        low, high = np.minimum(start, end) - width, np.maximum(start, end) + width
        rows, columns = span(size, low[1], high[1]), span(size, low[0], high[0])
        distance = segment(x[:, columns], y[rows], start, end) - width / 2.0
        coverage[rows, columns] = np.maximum(coverage[rows, columns], cover(distance, 2.0 / size))
    return coverage


def contrasting(rng: np.random.Generator, scene: Scene, alpha: Array, palette: Array) -> Array:
    """Choose a colour that stands out from the image where ``alpha`` lies.

    Args:
        rng: Source of randomness.
        scene: The scene.
        alpha: ``(N, N)`` weights.
        palette: ``(P, 3, 1, 1)`` colours, tried in random order; the first that differs clearly is taken, or else
            the one that differs most.
    """
    shuffled = palette[np.argsort(rng.uniform(size=len(palette)))]
    difference = np.abs(shuffled - mean_colour(scene.image, alpha)).max(axis=(1, 2, 3))
    clear = np.flatnonzero(difference > 0.3)
    return np.asarray(shuffled[clear[0] if len(clear) else int(difference.argmax())])
