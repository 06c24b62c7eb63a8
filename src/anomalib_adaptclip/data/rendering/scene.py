# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Scenes without a defect, and the layers of paint that damage them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .colours import mean_colour, mix
from .fields import shift
from .lighting import cast_shadow
from .shapes import Array, cover

if TYPE_CHECKING:
    from collections.abc import Callable


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
    """One image without a defect, and what a defect must know about it.

    Attributes:
        image: ``(3, N, N)``.
        beneath: ``(3, N, N)``, what is visible where the material is missing, without the shadow of the material.
        body: ``(N, N)`` coverage in [0, 1] of the material that can be damaged.
        depth: Height of the material above what is beneath.
        lose_part: Draws this scene without one of its parts. None if the object has no parts: a piece of its rim then
            breaks off.
    """

    image: Array
    beneath: Array
    body: Array
    depth: float = 0.04
    lose_part: Callable[[np.random.Generator], Layer] | None = None


def place_on(ground: Array, surface: Array, body: Array, depth: float = 0.04) -> Scene:
    """Place an object with its shadow on the ground; ``body`` ``(N, N)`` is its coverage."""
    return Scene(mix(ground * cast_shadow(body, depth), surface, body), ground, body, depth)


def remove_material(scene: Scene, distance: Array) -> Layer:
    """Remove the material where ``distance`` ``(N, N)`` is negative: the ground shows, and loses the shadow with it."""
    region = cover(distance, 2.0 / distance.shape[0])
    left = scene.body * (1.0 - region)
    light = cast_shadow(left, scene.depth)
    cut_face = np.maximum(shift(left, 0.012, 0.018) - left, 0.0) * (scene.body > 0.0)
    colour = mix(scene.beneath * light, 0.45 * mean_colour(scene.image, scene.body * region), cut_face)
    brighter = (scene.body == 0.0) & (light - cast_shadow(scene.body, scene.depth) > 0.05)
    return Layer(np.where(scene.body > 0.0, region, brighter), colour)
