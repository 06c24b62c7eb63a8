# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Metal parts of machines and locks, each on a background."""

from dataclasses import replace

import numpy as np

from .canvas import Canvas
from .colours import mix, rgb
from .scene import Layer, Scene, place_on, remove_material
from .shapes import (
    Array,
    box,
    circle,
    dome,
    polygon,
    repeat_around,
    rotate,
    smooth_step,
)


def lathed(canvas: Canvas, radius: Array, metal: Array) -> Array:
    """Return ``(3, N, N)`` metal with the fine rings that a lathe leaves."""
    rings = 0.04 * np.sin(radius * canvas.design.uniform(110.0, 160.0)) + 0.05 * canvas.fractal(6, 4)
    return metal * (1.0 + rings)


def _few_sectors(rng: np.random.Generator, x: Array, y: Array, count: int) -> Array:
    """Return the distance to one to three neighbours of the ``count`` sectors that `repeat_around` makes."""
    many = int(rng.integers(1, 4))
    u, v = rotate(x, y, 2.0 * np.pi / count * (int(rng.integers(count)) + 0.5 * (many - 1)))
    distance: Array = np.abs(v) - u * np.tan(np.pi / count * many)
    return distance


def hex_nut(canvas: Canvas) -> Scene:
    """Hexagonal nut with a chamfer and a threaded hole."""
    metal, support = canvas.pick(0xA8ABB0, 0xC4A45A, 0x8E9398), canvas.backdrop(0x3B4654, 0x4A4A48, 0x2F3B35)
    x, y = canvas.pose(0.05, 12.0)
    radius = np.sqrt(x * x + y * y)
    hole = canvas.design.uniform(0.28, 0.36)
    flats, bore = polygon(x, y, 6, 0.62), radius - hole
    distance = np.maximum(np.maximum(flats, radius - 0.7), -bore)
    chamfer = 0.14 * smooth_step(radius, 0.55, 0.72)
    thread = 0.02 * np.sin(90.0 * radius + np.arctan2(y, x)) * (1.0 - smooth_step(bore, 0.06, 0.09))
    height = 0.05 * dome(flats, 0.06) - chamfer + 0.08 * dome(-bore, 0.1) + thread
    return place_on(support, canvas.shade(lathed(canvas, radius, metal), height, 0.5), canvas.cover(distance))


def washer(canvas: Canvas) -> Scene:
    """Flat ring."""
    metal, support = canvas.pick(0xB5B8BC, 0xC9A45C, 0xB57A55), canvas.backdrop(0x6B5B4B, 0x35424F, 0x574F63)
    x, y = canvas.pose(0.05, 20.0)
    radius = np.sqrt(x * x + y * y)
    distance = np.abs(radius - 0.5) - canvas.design.uniform(0.18, 0.24)
    surface = canvas.shade(lathed(canvas, radius, metal), 0.035 * dome(distance, 0.05), 0.4)
    return place_on(support, surface, canvas.cover(distance))


def gear(canvas: Canvas) -> Scene:
    """Spur gear with lightening holes and a keyway."""
    metal, support = canvas.pick(0x9A9EA4, 0xC7A867, 0x7F858C), canvas.backdrop(0xBAB7AF, 0xA9B3B8, 0xC0B7A4)
    teeth, holes = int(canvas.design.integers(12, 18)), int(canvas.design.integers(4, 7))
    x, y = canvas.pose(0.04, 10.0)
    radius = np.sqrt(x * x + y * y)
    along, across = repeat_around(x, y, teeth)
    half = 1.25 / teeth
    tooth = np.maximum(np.abs(across) - half * (1.0 - 3.0 * (along - 0.68)), along - 0.8)
    rim = np.minimum(radius - 0.66, tooth)
    near, beside = repeat_around(x, y, holes)
    hole = circle(near - 0.4, beside, 0.1)
    bore = np.minimum(radius - 0.15, box(x, y + 0.15, 0.04, 0.06))
    distance = np.maximum(rim, -np.minimum(hole, bore))
    web = 0.05 * smooth_step(np.abs(radius - 0.4), 0.13, 0.17)
    surface = canvas.shade(lathed(canvas, radius, metal), 0.03 * dome(distance, 0.04) + web, 0.4)

    def lose_teeth(rng: np.random.Generator) -> Layer:
        """One to three neighbouring teeth are broken off."""
        stump = 0.67 + 0.015 * canvas.noise(24)
        return remove_material(scene, np.maximum(_few_sectors(rng, x, y, teeth), stump - radius))

    scene = place_on(support, surface, canvas.cover(distance))
    return replace(scene, lose_part=lose_teeth)


def bearing(canvas: Canvas) -> Scene:
    """Ball bearing seen from the front: two rings, a dark groove, balls."""
    metal, support = canvas.pick(0xB0B4B9, 0x9EA6AE), canvas.backdrop(0x7A6A58, 0x56666F, 0x86806F)
    balls = int(canvas.design.integers(8, 12))
    x, y = canvas.pose(0.04, 15.0)
    radius = np.sqrt(x * x + y * y)
    rings = np.minimum(np.abs(radius - 0.7) - 0.1, np.abs(radius - 0.31) - 0.09)
    along, across = repeat_around(x, y, balls)
    ball = circle(along - 0.5, across, 0.085)
    distance = np.maximum(radius - 0.8, 0.22 - radius)
    groove = rgb(0x26282B) * (1.0 + 0.15 * canvas.noise(60))
    ring = canvas.shade(lathed(canvas, radius, metal), 0.03 * dome(rings, 0.04), 0.4)
    sphere = canvas.shade(metal, np.sqrt(np.maximum(0.0072 - (ball + 0.085) ** 2, 0.0)), 0.9)
    bare = mix(groove, ring, canvas.cover(rings))
    surface = mix(bare, sphere, canvas.cover(ball))

    def lose_balls(rng: np.random.Generator) -> Layer:
        """One to three balls are missing from the cage."""
        return Layer(canvas.cover(np.maximum(_few_sectors(rng, x, y, balls), ball)), groove)

    return replace(place_on(support, surface, canvas.cover(distance)), lose_part=lose_balls)


def screw(canvas: Canvas) -> Scene:
    """Pan-head screw lying on its side."""
    metal, support = canvas.pick(0xA9A7A2, 0xC2A35C, 0x7C7F85), canvas.backdrop(0xC2BFB8, 0xB0BABE, 0xB0A999)
    tilt = canvas.design.uniform(20.0, 50.0)
    x, y = canvas.pose(0.04, 6.0)
    x, y = rotate(x, y, np.deg2rad(tilt))
    taper = np.clip((0.78 - x) / 0.3, 0.0, 1.0)
    ridge = np.sin(2.0 * np.pi * (x * canvas.design.uniform(10.0, 13.0) + 0.9 * y))
    threaded = smooth_step(x, -0.3, -0.25)
    half = (0.13 + 0.022 * ridge * threaded) * (0.12 + 0.88 * np.sqrt(taper))
    shank = np.maximum(np.abs(y) - half, np.maximum(-0.6 - x, x - 0.78))
    head = np.maximum(circle(x + 0.38, y * 0.86, 0.4), x + 0.5)
    round_shank = 0.75 * np.sqrt(np.maximum(half * half - y * y, 0.0)) + 0.012 * ridge * threaded
    round_head = 0.6 * np.sqrt(np.maximum(0.2 - y * y - 0.6 * (x + 0.5) ** 2, 0.0))
    on_head = canvas.cover(head)
    grain = metal * (1.0 + 0.06 * canvas.fractal(10, 4))
    surface = mix(canvas.shade(grain, round_shank, 0.5), canvas.shade(grain, round_head, 0.5), on_head)
    return place_on(support, surface, canvas.cover(np.minimum(shank, head)))


def key(canvas: Canvas) -> Scene:
    """Door key with a round bow and a notched blade."""
    metal, support = canvas.pick(0xC8AE6E, 0xB3B6BA, 0xB98A62), canvas.backdrop(0x4B3F38, 0x33465A, 0x5B5B5B)
    depths, tilt = canvas.design.uniform(0.03, 0.1, 5), canvas.design.uniform(-35.0, 35.0)
    x, y = canvas.pose(0.04, 6.0)
    x, y = rotate(x, y, np.deg2rad(tilt))
    bow = np.maximum(circle(x + 0.46, y, 0.34), -box(x + 0.6, y, 0.05, 0.13, 0.05))
    blade = np.maximum(box(x - 0.35, y, 0.52, 0.12, 0.03), 0.6 * (np.abs(y) + x - 0.92))
    for place, depth in enumerate(depths):
        notch = np.maximum(np.abs(x - 0.22 - 0.12 * place) - 0.025 - (y - 0.12 + depth), 0.12 - depth - y)
        blade = np.maximum(blade, -notch)
    distance = np.minimum(bow, blade)
    groove = 0.025 * smooth_step(-np.maximum(np.abs(y + 0.03) - 0.03, 0.02 - x), 0.0, 0.02)
    stamp = 0.012 * smooth_step(-(np.abs(circle(x + 0.42, y, 0.22)) - 0.012), -0.005, 0.01)
    height = 0.04 * dome(distance, 0.05) - groove + stamp
    grain = metal * (1.0 + 0.05 * canvas.fractal(8, 5))
    return place_on(support, canvas.shade(grain, height, 0.45), canvas.cover(distance))
