# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Colours.

Colours are in [0, 1] with the channel first: ``(3, N, N)`` for N samples a side, or ``(3, 1, 1)`` for a single colour.
"""

import numpy as np

from .shapes import Array


def rgb(code: int) -> Array:
    """Return the colour ``0xRRGGBB``, ``(3, 1, 1)``."""
    return np.array([code >> 16 & 255, code >> 8 & 255, code & 255], dtype=np.float64).reshape(3, 1, 1) / 255.0


def mix(below: Array, above: Array, alpha: Array) -> Array:
    """Lay the colours ``above`` over the colours ``below`` with opacity ``alpha`` ``(N, N)``."""
    return below + (above - below) * alpha


def mean_colour(image: Array, weight: Array) -> Array:
    """Return the mean colour ``(3, 1, 1)`` of an image where ``weight`` ``(N, N)`` lies."""
    total: Array = np.sum(image * weight, axis=(1, 2), keepdims=True)
    return total / max(float(weight.sum()), 1e-9)
