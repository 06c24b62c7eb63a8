# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The canvas of a drawing: coordinates, noise, light and the two sources of randomness.

Coordinates: x goes right and y down, both from -1 to 1; lengths and heights are in halves of the image. N is the number
of samples a side.
"""

from dataclasses import dataclass

import numpy as np

from .colours import rgb
from .lighting import LIGHT, shade
from .noise import fractal_noise, smooth_noise
from .shapes import Array, axes, cover, rotate


@dataclass
class Canvas:
    """An empty square and the two sources of randomness of a drawing.

    Attributes:
        size: N, samples a side.
        design: Decides what all images of a category share: the product.
        rng: Decides what is different in each image.
    """

    size: int
    design: np.random.Generator
    rng: np.random.Generator

    def __post_init__(self) -> None:
        """Set the direction of the light: from the upper left, a little different in each image."""
        self.pixel = 2.0 / self.size
        self.light = LIGHT + self.rng.uniform(-0.06, 0.06, 3)

    def pose(self, shift: float, degrees: float) -> tuple[Array, Array]:
        """Return ``(N, N)`` coordinates x, y of an object that is a little shifted, rotated and scaled."""
        x, y = axes(self.size)
        right, down = self.rng.uniform(-shift, shift, 2)
        angle = np.deg2rad(self.rng.uniform(-degrees, degrees))
        x, y = rotate(x - right, y - down, angle)
        scale = self.rng.uniform(0.98, 1.02)
        return x / scale, y / scale

    def pick(self, *codes: int) -> Array:
        """Let the design choose one of the colours ``0xRRGGBB`` and vary it slightly: ``(3, 1, 1)``."""
        colour = rgb(codes[int(self.design.integers(len(codes)))])
        tint = self.design.uniform(-0.02, 0.02, (3, 1, 1))
        return np.clip(colour * self.design.uniform(0.92, 1.08) + tint, 0.0, 1.0)

    def noise(self, cells: int | tuple[int, int]) -> Array:
        """Return smooth noise of this image, see `smooth_noise`."""
        return smooth_noise(self.rng, self.size, cells)

    def fractal(self, cells: int, octaves: int = 4, gain: float = 0.5) -> Array:
        """Return fractal noise of this image, see `fractal_noise`."""
        return fractal_noise(self.rng, self.size, cells, octaves, gain)

    def backdrop(self, *codes: int) -> Array:
        """Return a plain ground ``(3, N, N)`` in one of the colours ``0xRRGGBB``, a little uneven and grained."""
        uneven = 1.0 + 0.05 * self.noise(3) + 0.04 * self.noise(128)
        return np.clip(self.pick(*codes) * uneven, 0.0, 1.0)

    def cover(self, distance: Array) -> Array:
        """Return the coverage of a shape with a sharp outline."""
        return cover(distance, self.pixel)

    def shade(self, colour: Array, height: Array, gloss: float = 0.0) -> Array:
        """Light a relief as this image is lit, see `shade`."""
        return shade(colour, height, gloss, self.light)
