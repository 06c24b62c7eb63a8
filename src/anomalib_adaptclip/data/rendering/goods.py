# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Goods: things of daily use on a background."""

from dataclasses import replace

import numpy as np

from .shapes import (
    box,
    circle,
    cover,
    dome,
    ellipse,
    repeat_around,
    smooth_step,
    star,
    turn,
)
from .stage import Layer, Scene, Stage, mix, rgb, stand


def pill(stage: Stage) -> Scene:
    """Oval tablet with a score line and coloured speckles."""
    powder, dye = stage.pick(0xDCD9D1, 0xDECBC4, 0xD0D5C4), stage.pick(0xC4574F, 0x5B7FB5, 0xC78A3A)
    support = stage.backdrop(0x2E3440, 0x3D4A45, 0x4C4250)
    x, y = stage.pose(0.05, 10.0)
    distance = ellipse(x, y, 0.74, stage.design.uniform(0.42, 0.5))
    score = 0.05 * (1.0 - smooth_step(np.abs(x), 0.015, 0.05))
    specks = smooth_step(stage.noise(70), 0.62, 0.8)
    colour = mix(powder, dye, 0.75 * specks) * (1.0 + 0.02 * stage.fractal(30, 3))
    surface = stage.shade(colour, 0.16 * dome(distance, 0.4) - score, 0.1)
    return stand(support, surface, stage.cover(distance))


def capsule(stage: Stage) -> Scene:
    """Two-coloured gelatine capsule."""
    cap, base = stage.pick(0xB3372F, 0x2E5E9E, 0x2F7D54), stage.pick(0xE9DFC4, 0xE3A13B, 0xDCDCDC)
    support = stage.backdrop(0xC2C6C8, 0xB4BFB2, 0xC9BFB3)
    x, y = stage.pose(0.05, 8.0)
    x, y = turn(x, y, np.deg2rad(stage.design.uniform(-30.0, 30.0)))
    wide = box(x + 0.28, y, 0.52, 0.29, 0.29)
    narrow = box(x - 0.2, y, 0.6, 0.265, 0.265)
    distance = np.minimum(np.where(x < 0.06, wide, 1.0), narrow)
    half = np.where(x < 0.06, 0.29, 0.265)
    outer = np.where(x < 0.0, np.minimum(x + 0.51, 0.0), np.maximum(x - 0.535, 0.0))
    height = 0.85 * np.sqrt(np.maximum(half * half - y * y - outer * outer, 0.0))
    shell = mix(base, cap, cover(x - 0.06, stage.pixel)) * (1.0 + 0.03 * stage.fractal(8, 3))
    printed = stage.cover(np.abs(circle(x + 0.3, y, 0.09)) - 0.02)
    shell = mix(shell, 0.25 * cap, 0.8 * printed)
    return stand(support, stage.shade(shell, height, 0.8), stage.cover(distance))


def button(stage: Stage) -> Scene:
    """Coat button with a rim and four sewing holes."""
    horn, support = stage.pick(0x6E4A34, 0x2F4C6B, 0x7D2E3A), stage.backdrop(0xBFB7A6, 0xA9B3B0, 0xC4BEC2)
    x, y = stage.pose(0.05, 15.0)
    radius = np.sqrt(x * x + y * y)
    along, across = repeat_around(*turn(x, y, np.pi / 4.0), 4)
    hole = circle(along - 0.2, across, 0.075)
    marbled = horn * (1.0 + 0.22 * stage.fractal(4, 4))
    relief = 0.07 * smooth_step(radius, 0.42, 0.54) * dome(radius - 0.72, 0.14)
    closed = stage.shade(marbled, relief, 0.4)
    surface = stage.shade(marbled, relief + 0.02 * dome(-hole, 0.04), 0.4)

    def lose_hole(rng: np.random.Generator) -> Layer:
        """One or two of the sewing holes were not drilled."""
        quarters = int(rng.integers(4)), int(rng.integers(4))
        shut = np.zeros_like(radius)
        for quarter in set(quarters):
            a, b = turn(x, y, np.pi / 4.0 + np.pi / 2.0 * quarter)
            shut = np.maximum(shut, stage.cover(circle(a - 0.2, b, 0.11)))
        return Layer(shut, closed)

    return replace(stand(support, surface, stage.cover(np.maximum(radius - 0.72, -hole))), lose_part=lose_hole)


def coin(stage: Stage) -> Scene:
    """Struck coin with a beaded rim and a star."""
    metal, support = stage.pick(0xC9A24B, 0xB4B7BA, 0xB47B54), stage.backdrop(0x2C3A55, 0x47302E, 0x2D4238)
    beads, points = int(stage.design.integers(36, 52)), int(stage.design.integers(5, 9))
    x, y = stage.pose(0.05, 12.0)
    radius = np.sqrt(x * x + y * y)
    emblem = star(x, y, points, 0.4, 0.2)
    ring = np.abs(radius - 0.5) - 0.012
    along, across = repeat_around(x, y, beads)
    bead = circle(along - 0.62, across, 0.026)
    rim = 0.035 * dome(np.abs(radius - 0.73) - 0.045, 0.03)
    height = rim + 0.05 * dome(emblem, 0.14) + 0.02 * dome(ring, 0.012) + 0.02 * dome(bead, 0.02)
    worn = metal * (1.0 + 0.07 * stage.fractal(7, 5))
    return stand(support, stage.shade(worn, height, 0.5), stage.cover(radius - 0.775))


def cookie(stage: Stage) -> Scene:
    """Baked round cookie with chocolate chips."""
    dough, crust = stage.pick(0xD6A868, 0xC9985A, 0xDDB67C), stage.pick(0x9A6230, 0x8A5A34)
    support = stage.backdrop(0xBFC6C9, 0xA9BAB9, 0xC8C3BC)
    x, y = stage.pose(0.05, 180.0)
    outline = circle(x, y, 0.72) + 0.05 * stage.noise(7)
    crumb = stage.fractal(14, 5, 0.65)
    chips = np.full_like(x, 1.0)
    for angle in np.arange(9) * 2.4 + stage.rng.uniform(0.0, 6.0):
        reach = 0.6 * np.sqrt((angle % 1.0) * 0.9 + 0.05)
        u, v = x - reach * np.cos(angle), y - reach * np.sin(angle)
        chips = np.minimum(chips, circle(u, v, stage.rng.uniform(0.055, 0.085)))
    chips = chips + 0.03 * crumb
    baked = mix(dough, crust, np.clip(smooth_step(outline, -0.3, 0.0) + 0.25 * crumb, 0.0, 1.0))
    colour = mix(baked, rgb(0x3E2417), stage.cover(chips))
    height = 0.13 * dome(outline, 0.3) + 0.018 * crumb + 0.03 * dome(chips, 0.06)
    return stand(support, stage.shade(colour, height, 0.08), stage.cover(outline))


def bottle_cap(stage: Stage) -> Scene:
    """Crown cork from above: crimped skirt and a printed star."""
    paint, ink = stage.pick(0xB02E2C, 0x1F5A86, 0x2F6B45), stage.pick(0xF0E6CC, 0xE8C94F)
    support = stage.backdrop(0xB59D7C, 0x9FA8A4, 0xC7BFAF)
    crimps, points = 21, int(stage.design.integers(4, 7))
    x, y = stage.pose(0.05, 10.0)
    radius = np.sqrt(x * x + y * y)
    wave = np.cos(crimps * np.arctan2(y, x))
    distance = radius - 0.72 - 0.035 * wave
    skirt = smooth_step(radius, 0.55, 0.62)
    logo = np.minimum(star(x, y, points, 0.36, 0.17), np.abs(radius - 0.47) - 0.022)
    colour = mix(paint, ink, stage.cover(logo)) * (1.0 + 0.04 * stage.fractal(6, 4))
    height = -0.22 * smooth_step(radius, 0.52, 0.8) + 0.035 * wave * skirt + 0.02 * dome(distance, 0.03)
    return stand(support, stage.shade(colour, height, 0.45), stage.cover(distance))


def battery(stage: Stage) -> Scene:
    """Round cell lying on its side: two-coloured sleeve, cap and nub."""
    sleeve, band = stage.pick(0x2B2D31, 0x1F4F7A, 0x3C5A3A), stage.pick(0xC78A4B, 0xD0B24A, 0xB8BCC0)
    support = stage.backdrop(0xBFBBB1, 0xABB6BA, 0xC4B9A9)
    x, y = stage.pose(0.04, 6.0)
    x, y = turn(x, y, np.deg2rad(stage.design.uniform(-40.0, 40.0)))
    can, nub = box(x + 0.04, y, 0.74, 0.27, 0.03), box(x - 0.74, y, 0.07, 0.1, 0.02)
    colour = mix(sleeve, band, cover(0.28 - x, stage.pixel))
    colour = mix(colour, rgb(0xC9CCD0), np.maximum(cover(0.68 - x, stage.pixel), cover(x + 0.74, stage.pixel)))
    plus = np.minimum(box(x - 0.48, y, 0.09, 0.025), box(x - 0.48, y, 0.025, 0.09))
    stripe = np.maximum(np.abs(np.abs(y) - 0.09) - 0.015, np.abs(x + 0.2) - 0.36)
    colour = mix(mix(colour, 0.2 * band, stage.cover(plus)), band, stage.cover(stripe))
    half = np.where(x < 0.7, 0.275, 0.105)
    height = 0.9 * np.sqrt(np.maximum(half * half - y * y, 0.0))
    surface = stage.shade(colour * (1.0 + 0.03 * stage.fractal(8, 3)), height, 0.5)
    return stand(support, surface, stage.cover(np.minimum(can, nub)))
