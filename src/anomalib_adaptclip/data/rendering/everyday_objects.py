# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Objects of everyday use, each on a background."""

from dataclasses import replace

import numpy as np

from .canvas import Canvas
from .colours import mix, rgb
from .scene import Layer, Scene, place_on
from .shapes import (
    box,
    circle,
    cover,
    dome,
    ellipse,
    repeat_around,
    rotate,
    smooth_step,
    star,
)


def pill(canvas: Canvas) -> Scene:
    """Oval tablet with a score line and coloured speckles."""
    powder, dye = canvas.pick(0xDCD9D1, 0xDECBC4, 0xD0D5C4), canvas.pick(0xC4574F, 0x5B7FB5, 0xC78A3A)
    support = canvas.backdrop(0x2E3440, 0x3D4A45, 0x4C4250)
    x, y = canvas.pose(0.05, 10.0)
    distance = ellipse(x, y, 0.74, canvas.design.uniform(0.42, 0.5))
    score = 0.05 * (1.0 - smooth_step(np.abs(x), 0.015, 0.05))
    specks = smooth_step(canvas.noise(70), 0.62, 0.8)
    colour = mix(powder, dye, 0.75 * specks) * (1.0 + 0.02 * canvas.fractal(30, 3))
    surface = canvas.shade(colour, 0.16 * dome(distance, 0.4) - score, 0.1)
    return place_on(support, surface, canvas.cover(distance))


def capsule(canvas: Canvas) -> Scene:
    """Two-coloured gelatine capsule."""
    cap, base = canvas.pick(0xB3372F, 0x2E5E9E, 0x2F7D54), canvas.pick(0xE9DFC4, 0xE3A13B, 0xDCDCDC)
    support = canvas.backdrop(0xC2C6C8, 0xB4BFB2, 0xC9BFB3)
    x, y = canvas.pose(0.05, 8.0)
    x, y = rotate(x, y, np.deg2rad(canvas.design.uniform(-30.0, 30.0)))
    wide = box(x + 0.28, y, 0.52, 0.29, 0.29)
    narrow = box(x - 0.2, y, 0.6, 0.265, 0.265)
    distance = np.minimum(np.where(x < 0.06, wide, 1.0), narrow)
    half = np.where(x < 0.06, 0.29, 0.265)
    outer = np.where(x < 0.0, np.minimum(x + 0.51, 0.0), np.maximum(x - 0.535, 0.0))
    height = 0.85 * np.sqrt(np.maximum(half * half - y * y - outer * outer, 0.0))
    shell = mix(base, cap, cover(x - 0.06, canvas.pixel)) * (1.0 + 0.03 * canvas.fractal(8, 3))
    printed = canvas.cover(np.abs(circle(x + 0.3, y, 0.09)) - 0.02)
    shell = mix(shell, 0.25 * cap, 0.8 * printed)
    return place_on(support, canvas.shade(shell, height, 0.8), canvas.cover(distance))


def button(canvas: Canvas) -> Scene:
    """Coat button with a rim and four sewing holes."""
    horn, support = canvas.pick(0x6E4A34, 0x2F4C6B, 0x7D2E3A), canvas.backdrop(0xBFB7A6, 0xA9B3B0, 0xC4BEC2)
    x, y = canvas.pose(0.05, 15.0)
    radius = np.sqrt(x * x + y * y)
    along, across = repeat_around(*rotate(x, y, np.pi / 4.0), 4)
    hole = circle(along - 0.2, across, 0.075)
    marbled = horn * (1.0 + 0.22 * canvas.fractal(4, 4))
    relief = 0.07 * smooth_step(radius, 0.42, 0.54) * dome(radius - 0.72, 0.14)
    closed = canvas.shade(marbled, relief, 0.4)
    surface = canvas.shade(marbled, relief + 0.02 * dome(-hole, 0.04), 0.4)

    def lose_hole(rng: np.random.Generator) -> Layer:
        """One or two of the sewing holes were not drilled."""
        quarters = int(rng.integers(4)), int(rng.integers(4))
        shut = np.zeros_like(radius)
        for quarter in set(quarters):
            a, b = rotate(x, y, np.pi / 4.0 + np.pi / 2.0 * quarter)
            shut = np.maximum(shut, canvas.cover(circle(a - 0.2, b, 0.11)))
        return Layer(shut, closed)

    return replace(place_on(support, surface, canvas.cover(np.maximum(radius - 0.72, -hole))), lose_part=lose_hole)


def coin(canvas: Canvas) -> Scene:
    """Struck coin with a beaded rim and a star."""
    metal, support = canvas.pick(0xC9A24B, 0xB4B7BA, 0xB47B54), canvas.backdrop(0x2C3A55, 0x47302E, 0x2D4238)
    beads, points = int(canvas.design.integers(36, 52)), int(canvas.design.integers(5, 9))
    x, y = canvas.pose(0.05, 12.0)
    radius = np.sqrt(x * x + y * y)
    emblem = star(x, y, points, 0.4, 0.2)
    ring = np.abs(radius - 0.5) - 0.012
    along, across = repeat_around(x, y, beads)
    bead = circle(along - 0.62, across, 0.026)
    rim = 0.035 * dome(np.abs(radius - 0.73) - 0.045, 0.03)
    height = rim + 0.05 * dome(emblem, 0.14) + 0.02 * dome(ring, 0.012) + 0.02 * dome(bead, 0.02)
    worn = metal * (1.0 + 0.07 * canvas.fractal(7, 5))
    return place_on(support, canvas.shade(worn, height, 0.5), canvas.cover(radius - 0.775))


def cookie(canvas: Canvas) -> Scene:
    """Baked round cookie with chocolate chips."""
    dough, crust = canvas.pick(0xD6A868, 0xC9985A, 0xDDB67C), canvas.pick(0x9A6230, 0x8A5A34)
    support = canvas.backdrop(0xBFC6C9, 0xA9BAB9, 0xC8C3BC)
    x, y = canvas.pose(0.05, 180.0)
    outline = circle(x, y, 0.72) + 0.05 * canvas.noise(7)
    crumb = canvas.fractal(14, 5, 0.65)
    chips = np.full_like(x, 1.0)
    for angle in np.arange(9) * 2.4 + canvas.rng.uniform(0.0, 6.0):
        reach = 0.6 * np.sqrt((angle % 1.0) * 0.9 + 0.05)
        u, v = x - reach * np.cos(angle), y - reach * np.sin(angle)
        chips = np.minimum(chips, circle(u, v, canvas.rng.uniform(0.055, 0.085)))
    chips = chips + 0.03 * crumb
    baked = mix(dough, crust, np.clip(smooth_step(outline, -0.3, 0.0) + 0.25 * crumb, 0.0, 1.0))
    colour = mix(baked, rgb(0x3E2417), canvas.cover(chips))
    height = 0.13 * dome(outline, 0.3) + 0.018 * crumb + 0.03 * dome(chips, 0.06)
    return place_on(support, canvas.shade(colour, height, 0.08), canvas.cover(outline))


def bottle_cap(canvas: Canvas) -> Scene:
    """Crown cork from above: crimped skirt and a printed star."""
    paint, ink = canvas.pick(0xB02E2C, 0x1F5A86, 0x2F6B45), canvas.pick(0xF0E6CC, 0xE8C94F)
    support = canvas.backdrop(0xB59D7C, 0x9FA8A4, 0xC7BFAF)
    crimps, points = 21, int(canvas.design.integers(4, 7))
    x, y = canvas.pose(0.05, 10.0)
    radius = np.sqrt(x * x + y * y)
    wave = np.cos(crimps * np.arctan2(y, x))
    distance = radius - 0.72 - 0.035 * wave
    skirt = smooth_step(radius, 0.55, 0.62)
    logo = np.minimum(star(x, y, points, 0.36, 0.17), np.abs(radius - 0.47) - 0.022)
    colour = mix(paint, ink, canvas.cover(logo)) * (1.0 + 0.04 * canvas.fractal(6, 4))
    height = -0.22 * smooth_step(radius, 0.52, 0.8) + 0.035 * wave * skirt + 0.02 * dome(distance, 0.03)
    return place_on(support, canvas.shade(colour, height, 0.45), canvas.cover(distance))


def battery(canvas: Canvas) -> Scene:
    """Round cell lying on its side: two-coloured sleeve, cap and nub."""
    sleeve, band = canvas.pick(0x2B2D31, 0x1F4F7A, 0x3C5A3A), canvas.pick(0xC78A4B, 0xD0B24A, 0xB8BCC0)
    support = canvas.backdrop(0xBFBBB1, 0xABB6BA, 0xC4B9A9)
    x, y = canvas.pose(0.04, 6.0)
    x, y = rotate(x, y, np.deg2rad(canvas.design.uniform(-40.0, 40.0)))
    can, nub = box(x + 0.04, y, 0.74, 0.27, 0.03), box(x - 0.74, y, 0.07, 0.1, 0.02)
    colour = mix(sleeve, band, cover(0.28 - x, canvas.pixel))
    colour = mix(colour, rgb(0xC9CCD0), np.maximum(cover(0.68 - x, canvas.pixel), cover(x + 0.74, canvas.pixel)))
    plus = np.minimum(box(x - 0.48, y, 0.09, 0.025), box(x - 0.48, y, 0.025, 0.09))
    stripe = np.maximum(np.abs(np.abs(y) - 0.09) - 0.015, np.abs(x + 0.2) - 0.36)
    colour = mix(mix(colour, 0.2 * band, canvas.cover(plus)), band, canvas.cover(stripe))
    half = np.where(x < 0.7, 0.275, 0.105)
    height = 0.9 * np.sqrt(np.maximum(half * half - y * y, 0.0))
    surface = canvas.shade(colour * (1.0 + 0.03 * canvas.fractal(8, 3)), height, 0.5)
    return place_on(support, surface, canvas.cover(np.minimum(can, nub)))
