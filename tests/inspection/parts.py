# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Photos of a part, good ones and scratched ones."""

import numpy as np
from PIL import Image


def part(seed: int, *, is_scratched: bool = False) -> Image.Image:
    """A grey disc on dark ground, a little different each time."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:60, 0:80]
    pixels = np.full((60, 80, 3), 60.0)
    pixels[(y - 30) ** 2 + (x - 40) ** 2 < 24**2] = 170 + rng.uniform(-5, 5)
    pixels += rng.normal(0, 3, pixels.shape)
    if is_scratched:
        pixels[26:34, 25:55] = (230, 20, 20)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
