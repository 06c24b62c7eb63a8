# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Light and shadow on a relief; heights and lengths are in halves of the image."""

import numpy as np

from .fields import blur, shift
from .shapes import Array

LIGHT = np.array([-0.45, -0.55, 1.0])  # from the upper left
_SHADOW = 0.5


def shade(colour: Array, height: Array, gloss: float = 0.0, light: Array = LIGHT) -> Array:
    """Light a relief; level spots keep their colour.

    Args:
        colour: ``(3, N, N)`` or ``(3, 1, 1)``.
        height: ``(N, N)``.
        gloss: Strength of the highlights, 0 for a matt surface.
        light: Direction (x, y, z) to the light, of any length.
    """
    slope_y, slope_x = np.gradient(height, 2.0 / height.shape[0])
    steep = 1.0 / np.sqrt(1.0 + slope_x * slope_x + slope_y * slope_y)
    diffuse = np.maximum((light[2] - light[0] * slope_x - light[1] * slope_y) * steep, 0.0)
    lit: Array = colour * (0.3 + 0.7 / light[2] * diffuse)
    if gloss:
        half = light / np.sqrt(np.sum(light**2)) + np.array([0.0, 0.0, 1.0])
        half /= np.sqrt(np.sum(half**2))
        shine = np.maximum((half[2] - half[0] * slope_x - half[1] * slope_y) * steep, 0.0)
        for _ in range(4):
            shine = shine * shine
        level = half[2] ** 16
        lit = lit + gloss / (1.0 - level) * np.maximum(shine - level, 0.0)
    return np.clip(lit, 0.0, 1.0)


def cast_shadow(body: Array, depth: float) -> Array:
    """Return the factors ``(N, N)`` by which the shadow of a body darkens what lies ``depth`` beneath it."""
    return 1.0 - _SHADOW * blur(shift(body, depth, depth), 1.5 * depth)
