# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Operations on fields of numbers: two-dimensional arrays with a value for each sample."""

import numpy as np
from PIL import Image

from .shapes import Array


def resize(field: Array, rows: int, columns: int) -> Array:
    """Resample a 2-D field bicubically; shrinking averages, so it does not alias."""
    picture = Image.fromarray(field.astype(np.float32))
    return np.asarray(picture.resize((columns, rows), Image.Resampling.BICUBIC), dtype=np.float64)


def blur(field: Array, radius: float) -> Array:
    """Blur a ``(N, N)`` field with values in [0, 1]."""
    size = field.shape[0]
    coarse = max(4, min(size, round(2.0 / radius)))
    return np.clip(resize(resize(field, coarse, coarse), size, size), 0.0, 1.0)


def shift(field: Array, right: float, down: float) -> Array:
    """Shift a ``(N, N)`` field; its border fills what becomes free."""
    size = field.shape[0]
    rows, columns = (np.clip(np.arange(size) - round(way * size / 2.0), 0, size - 1) for way in (down, right))
    moved: Array = field[rows][:, columns]
    return moved
