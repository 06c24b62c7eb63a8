# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Distances to plane shapes, negative inside, and how much of a sample they cover.

Points are ``x``, ``y`` arrays that broadcast against each other; distances have the broadcast shape and the same
unit. Compose shapes with ``np.minimum`` (union), ``np.maximum`` (intersection) and a minus sign (complement).
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def axes(size: int) -> tuple[Array, Array]:
    """Return the centres of ``size`` samples a side: x as ``(1, N)`` and y as ``(N, 1)``, both from -1 to 1."""
    axis = np.linspace(1.0 / size - 1.0, 1.0 - 1.0 / size, size)
    return axis[None, :], axis[:, None]


def span(size: int, low: float, high: float) -> slice:
    """Return the slice of the ``size`` samples of an axis that lie between two coordinates."""
    first, last = (round((coordinate + 1.0) * size / 2.0) for coordinate in (low, high))
    return slice(max(first, 0), max(last, 0))


def cover(distance: Array, softness: float) -> Array:
    """Return the coverage in [0, 1] of a shape: 1 inside, 0 outside, linear over ``softness`` across the outline."""
    return np.clip(0.5 - distance / softness, 0.0, 1.0)


def smooth_step(values: ArrayLike, low: float, high: float) -> Array:
    """Rise from 0 at ``low`` to 1 at ``high`` with zero slope at both."""
    t = np.clip((np.asarray(values, dtype=np.float64) - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def dome(distance: Array, width: float) -> Array:
    """Return the height in [0, 1] of a rounded edge that levels off ``width`` inside the outline."""
    t = np.clip(-distance / width, 0.0, 1.0)
    return t * (2.0 - t)


def circle(x: Array, y: Array, radius: float) -> Array:
    """Distance to a circle about the origin."""
    return np.sqrt(x * x + y * y) - radius


def ellipse(x: Array, y: Array, half_width: float, half_height: float) -> Array:
    """Approximate distance to an ellipse about the origin, exact on the outline to first order."""
    u, v = x / half_width, y / half_height
    reach = np.sqrt(u * u + v * v)
    slope = np.sqrt((u / half_width) ** 2 + (v / half_height) ** 2)
    return reach * (reach - 1.0) / np.maximum(slope, 1e-9)


def box(x: Array, y: Array, half_width: float, half_height: float, corner: float = 0.0) -> Array:
    """Distance to a rectangle about the origin whose corners are rounded with radius ``corner``."""
    dx, dy = np.abs(x) - (half_width - corner), np.abs(y) - (half_height - corner)
    outside: Array = np.hypot(np.maximum(dx, 0.0), np.maximum(dy, 0.0))
    return outside + np.minimum(np.maximum(dx, dy), 0.0) - corner


def segment(x: Array, y: Array, start: Array, end: Array) -> Array:
    """Distance to the line from ``start`` to ``end``, both (x, y)."""
    along_x, along_y = end - start
    u, v = x - start[0], y - start[1]
    t = np.clip((u * along_x + v * along_y) / max(along_x * along_x + along_y * along_y, 1e-12), 0.0, 1.0)
    distance: Array = np.hypot(u - t * along_x, v - t * along_y)
    return distance


def polygon(x: Array, y: Array, sides: int, inradius: float) -> Array:
    """Distance to a regular polygon about the origin with a flat side to the right; sharp beyond the corners."""
    sector = 2.0 * np.pi / sides
    angle = np.mod(np.arctan2(y, x) + sector / 2.0, sector) - sector / 2.0
    return np.sqrt(x * x + y * y) * np.cos(angle) - inradius


def star(x: Array, y: Array, points: int, outer: float, inner: float) -> Array:
    """Approximate distance to a star about the origin with a point to the right."""
    sector = 2.0 * np.pi / points
    angle = np.abs(np.mod(np.arctan2(y, x) + sector / 2.0, sector) - sector / 2.0)
    radius = np.sqrt(x * x + y * y)
    along, across = inner * math.cos(sector / 2.0) - outer, inner * math.sin(sector / 2.0)
    return ((radius * np.cos(angle) - outer) * across - radius * np.sin(angle) * along) / math.hypot(along, across)


def rotate(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """Return the points in axes that are rotated by ``angle`` radians, clockwise on the screen."""
    cos, sin = np.cos(angle), np.sin(angle)
    return cos * x + sin * y, cos * y - sin * x


def repeat_around(x: Array, y: Array, count: int) -> tuple[Array, Array]:
    """Fold the plane into ``count`` equal sectors: a shape drawn on the positive x axis appears ``count`` times."""
    sector = 2.0 * np.pi / count
    angle = np.mod(np.arctan2(y, x) + sector / 2.0, sector) - sector / 2.0
    radius = np.sqrt(x * x + y * y)
    return radius * np.cos(angle), radius * np.sin(angle)
