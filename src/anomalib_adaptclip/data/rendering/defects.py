# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The defects: each takes a scene without a defect and returns the layer of paint that damages it."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from .colours import mix, rgb
from .fields import shift
from .foreign_parts import foreign_part
from .placement import blob, contrasting, random_area, random_point, stroke
from .scene import Layer, Scene, remove_material
from .shapes import Array, cover, smooth_step

Defect = Callable[[Scene, np.random.Generator], Layer]

_LEAST_AREA = 0.003  # of the image, for a scratch to be seen
_MARKS = np.stack([rgb(code) for code in (0xF2F0EA, 0x1B1A19, 0xD8D5CE, 0x35302C)])
_SPILLS = np.stack([rgb(code) for code in (0x2A1A10, 0x5B3A1E, 0x1D2C4F, 0x7C1F1C, 0xEDE6D0, 0xC9A24B, 0x16301F)])


def scratch(scene: Scene, rng: np.random.Generator) -> Layer:
    """One to four roughly parallel curved grooves with a bright and a dark flank."""
    width, strength = rng.uniform(0.014, 0.03), rng.uniform(0.6, 0.85)
    groove = _grooves(scene, rng, width)
    while groove.mean() < _LEAST_AREA and width < 0.06:
        width *= 1.2
        groove = _grooves(scene, rng, width)
    tone = contrasting(rng, scene, groove, _MARKS)
    flank = shift(groove, 0.008, 0.008) - shift(groove, -0.008, -0.008)
    colour = mix(scene.image, tone, np.full_like(groove, strength)) + 0.2 * flank
    return Layer(groove, np.clip(colour, 0.0, 1.0))


def _grooves(scene: Scene, rng: np.random.Generator, width: float) -> Array:
    """Return the ``(N, N)`` coverage of one to four lines across the material."""
    path = _path(scene, rng)
    taper = width * np.sin(np.linspace(0.15, np.pi - 0.15, len(path)))
    groove = np.zeros_like(scene.body)
    for _ in range(int(rng.integers(1, 5))):
        groove = np.maximum(groove, stroke(len(groove), path, taper))
        path = path + rng.uniform(-0.08, 0.08, 2) + rng.normal(0.0, 0.006, path.shape)
    return groove * scene.body


def _path(scene: Scene, rng: np.random.Generator) -> Array:
    """Return ``(32, 2)`` points of a bent line between two points of the material."""
    start, end = random_point(scene, rng), random_point(scene, rng)
    for _ in range(20):
        if 0.6 < np.hypot(*(end - start)) < 1.4:
            break
        end = random_point(scene, rng)
    t = np.linspace(0.0, 1.0, 32)[:, None]
    sideways = np.array([start[1] - end[1], end[0] - start[0]]) * rng.uniform(-0.25, 0.25)
    return start + (end - start) * t + sideways * np.sin(np.pi * t) + rng.normal(0.0, 0.004, (32, 2))


def stain(scene: Scene, rng: np.random.Generator) -> Layer:
    """A spill through which the material shows, denser at its edge, now and then with drops beside it."""
    pixel = 2.0 / scene.body.shape[0]
    centre, fraction = random_point(scene, rng), random_area(rng, 0.008, 0.07)
    distance = blob(scene, rng, centre, fraction, rng.uniform(0.15, 0.4))
    for _ in range(int(rng.integers(0, 4))):
        away = centre + rng.normal(0.0, 1.4, 2) * np.sqrt(fraction)
        distance = np.minimum(distance, blob(scene, rng, away, random_area(rng, 0.0008, 0.004), 0.1))
    shape = cover(distance, 4.0 * pixel) * scene.body
    tint = contrasting(rng, scene, shape, _SPILLS)
    edge = smooth_step(distance, -0.05, 0.0)
    opacity = np.clip(rng.uniform(0.6, 0.8) + 0.15 * edge, 0.0, 1.0)
    grain = scene.image - scene.image.mean(axis=(1, 2), keepdims=True)
    colour = np.clip(mix(scene.image, tint + 0.3 * grain, opacity), 0.0, 1.0)
    return Layer(shape, colour)


def hole(scene: Scene, rng: np.random.Generator) -> Layer:
    """The material is punched or torn through."""
    torn = rng.uniform() < 0.5
    fraction = random_area(rng, 0.008, 0.03)
    distance = blob(scene, rng, random_point(scene, rng), fraction, rng.uniform(0.3, 0.5) if torn else 0.05)
    return remove_material(scene, distance)


def missing_part(scene: Scene, rng: np.random.Generator) -> Layer:
    """A part of the thing is not there; where it has no parts, a piece has broken off its rim."""
    if scene.lose_part is not None:
        return scene.lose_part(rng)
    fraction = min(random_area(rng, 0.015, 0.055), 0.25 * float(scene.body.mean()))
    distance = blob(scene, rng, random_point(scene, rng, 0.15, 0.85), fraction, 0.2)
    return remove_material(scene, distance)


DEFECTS: Mapping[str, Defect] = MappingProxyType(
    {
        "scratch": scratch,
        "stain": stain,
        "hole": hole,
        "missing_part": missing_part,
        "foreign_part": foreign_part,
    },
)
