# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a drawing works with (the stage), what it hands back (the scene), and paint.

Coordinates: x goes right and y down, both from -1 to 1; lengths and heights are in image halves. N is the number of
samples a side. Colours are in [0, 1] with the channel first: ``(3, N, N)``, or ``(3, 1, 1)`` for a single colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .noise import fractal_noise, resize, smooth_noise
from .shapes import Array, axes, cover, turn

if TYPE_CHECKING:
    from collections.abc import Callable

LIGHT = np.array([-0.45, -0.55, 1.0])
_SHADOW = 0.5


class Layer(NamedTuple):
    """Paint that covers a part of an image.

    Attributes:
        alpha: ``(N, N)`` opacity in [0, 1].
        colour: ``(3, N, N)`` or ``(3, 1, 1)``.
    """

    alpha: Array
    colour: Array


@dataclass(frozen=True)
class Scene:
    """One defect-free image and what a defect must know about it.

    Attributes:
        image: ``(3, N, N)``.
        beneath: ``(3, N, N)``, what shows where the material is gone, without its shadow.
        body: ``(N, N)`` coverage in [0, 1] of the material that can be damaged.
        depth: How high the material stands above what is beneath.
        lose_part: Draws this scene without one of its parts; None where any piece of the rim may break off.
    """

    image: Array
    beneath: Array
    body: Array
    depth: float = 0.04
    lose_part: Callable[[np.random.Generator], Layer] | None = None


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


def soften(field: Array, radius: float) -> Array:
    """Blur a ``(N, N)`` field with values in [0, 1]."""
    size = field.shape[0]
    coarse = max(4, min(size, round(2.0 / radius)))
    return np.clip(resize(resize(field, coarse, coarse), size, size), 0.0, 1.0)


def move(field: Array, right: float, down: float) -> Array:
    """Shift a ``(N, N)`` field; its border fills what becomes free."""
    size = field.shape[0]
    rows, columns = (np.clip(np.arange(size) - round(way * size / 2.0), 0, size - 1) for way in (down, right))
    moved: Array = field[rows][:, columns]
    return moved


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
    """Return the factors ``(N, N)`` that a body leaves of the light on what is ``depth`` beneath it."""
    return 1.0 - _SHADOW * soften(move(body, depth, depth), 1.5 * depth)


def stand(ground: Array, surface: Array, body: Array, depth: float = 0.04) -> Scene:
    """Put a thing with its shadow on the ground; ``body`` ``(N, N)`` is its coverage."""
    return Scene(mix(ground * cast_shadow(body, depth), surface, body), ground, body, depth)


def take_away(scene: Scene, distance: Array) -> Layer:
    """Remove the material where ``distance`` ``(N, N)`` is negative: the ground shows, and loses the shadow with it."""
    region = cover(distance, 2.0 / distance.shape[0])
    left = scene.body * (1.0 - region)
    light = cast_shadow(left, scene.depth)
    cut_face = np.maximum(move(left, 0.012, 0.018) - left, 0.0) * (scene.body > 0.0)
    colour = mix(scene.beneath * light, 0.45 * mean_colour(scene.image, scene.body * region), cut_face)
    brighter = (scene.body == 0.0) & (light - cast_shadow(scene.body, scene.depth) > 0.05)
    return Layer(np.where(scene.body > 0.0, region, brighter), colour)


@dataclass
class Stage:
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
        """Put up the light: from the upper left, a little different in each image."""
        self.pixel = 2.0 / self.size
        self.light = LIGHT + self.rng.uniform(-0.06, 0.06, 3)

    def pose(self, shift: float, degrees: float) -> tuple[Array, Array]:
        """Return ``(N, N)`` coordinates x, y of a thing that lies a little shifted, turned and scaled."""
        x, y = axes(self.size)
        right, down = self.rng.uniform(-shift, shift, 2)
        angle = np.deg2rad(self.rng.uniform(-degrees, degrees))
        x, y = turn(x - right, y - down, angle)
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
