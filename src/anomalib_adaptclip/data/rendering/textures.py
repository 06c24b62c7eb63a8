# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Textures: materials that fill the image."""

from dataclasses import replace

import numpy as np

from .canvas import Canvas
from .colours import mix, rgb
from .fields import resize
from .noise import cell_noise
from .scene import Layer, Scene, place_on
from .shapes import Array, axes, box, circle, cover, dome, smooth_step, span


def _sheet(image: Array, beneath: Array) -> Scene:
    """Return a scene whose material is everywhere."""
    return Scene(image, np.broadcast_to(beneath, image.shape), np.ones(image.shape[1:]))


def _speckle(canvas: Canvas, strength: float) -> Array:
    """Return ``(N, N)`` factors around 1: fine grain."""
    return 1.0 + strength * canvas.noise(170)


def _tinted(low: Array, high: Array, amount: Array) -> Array:
    """Return ``(3, N, N)`` colours between ``low`` and ``high``."""
    return mix(low, high, np.clip(amount, 0.0, 1.0))


def leather(canvas: Canvas) -> Scene:
    """Pebbled hide with soft wrinkles."""
    hide = canvas.pick(0x8A4B2A, 0x5A3420, 0x9B6A43, 0x7A2F2B)
    coarse = canvas.size // 2
    _, gap, shade = cell_noise(canvas.rng, coarse, int(canvas.design.integers(26, 36)))
    pebbles = resize(smooth_step(gap, 0.0, 0.6), canvas.size, canvas.size)
    height = 0.01 * pebbles + 0.03 * canvas.fractal(5, 3)
    tone = 0.9 + 0.1 * pebbles + 0.08 * (resize(shade, canvas.size, canvas.size) - 0.5)
    return _sheet(canvas.shade(hide * tone, height, 0.25), rgb(0xC9A27A) * _speckle(canvas, 0.15))


def carpet(canvas: Canvas) -> Scene:
    """Short pile of round tufts in mixed yarns."""
    yarn, fleck = canvas.pick(0x6F7780, 0x4F5B74, 0x7B6A58), canvas.pick(0xB9B4A6, 0x9DA7B5, 0xC7A98A)
    coarse = canvas.size // 2
    nearest, _, shade = cell_noise(canvas.rng, coarse, int(canvas.design.integers(40, 50)))
    tuft = resize(np.clip(1.0 - nearest, 0.0, 1.0), canvas.size, canvas.size)
    kind = resize(smooth_step(shade, 0.55, 0.75), canvas.size, canvas.size)
    colour = _tinted(yarn, fleck, kind) * _speckle(canvas, 0.2)
    image = canvas.shade(colour * (0.55 + 0.6 * tuft), 0.022 * tuft)
    backing = 0.85 + 0.15 * np.sign(np.sin(90.0 * canvas.pose(0.25, 3.0)[0]))
    return _sheet(image, rgb(0xCDB88C) * backing * _speckle(canvas, 0.2))


def wood(canvas: Canvas) -> Scene:
    """A planed board with year rings along the grain."""
    light, dark = canvas.pick(0xD7A86E, 0xC98F5A, 0xE0BE8C), canvas.pick(0x8A5427, 0x9C6B3C, 0x7A4A2A)
    x, y = canvas.pose(0.25, 2.0)
    wander = canvas.noise((3, 4)) * 0.2 + canvas.noise((4, 14)) * 0.03
    rings = np.mod(canvas.design.uniform(5.0, 8.0) * (x + wander) + 0.15 * y, 1.0)
    late = smooth_step(rings, 0.1, 0.85) * (1.0 - smooth_step(rings, 0.9, 1.0))
    fibres = canvas.noise((8, 170)) + 0.6 * canvas.noise((24, 256))
    pores = smooth_step(canvas.noise((36, 170)), 0.75, 1.0)
    image = _tinted(light, dark, 0.08 + 0.6 * late + 0.12 * fibres) * (1.0 - 0.35 * pores)
    return _sheet(image, rgb(0x4A2E18) * _speckle(canvas, 0.2))


def marble(canvas: Canvas) -> Scene:
    """Polished stone with veins."""
    ground, vein = canvas.pick(0xD2CFC9, 0x3F5A4C, 0xCBBBA6, 0x35373D), canvas.pick(0x7C7F86, 0xA88F6A)
    if np.mean(ground) < 0.5:
        vein = 0.4 * vein + 0.55
    warp = canvas.fractal(3, 4)
    broad = smooth_step(1.0 - np.abs(canvas.fractal(2, 6, 0.55) + 0.3 * warp), 0.82, 1.0)
    fine = smooth_step(1.0 - np.abs(canvas.fractal(4, 6, 0.6) - 0.4 * warp), 0.9, 1.0)
    cloud = 1.0 + 0.06 * warp + 0.03 * canvas.fractal(24, 3)
    image = _tinted(ground, vein, 0.55 * broad + 0.4 * fine) * cloud
    return _sheet(np.clip(image, 0.0, 1.0), 0.6 * ground * _speckle(canvas, 0.3))


def terrazzo(canvas: Canvas) -> Scene:
    """Stone chips of several colours in cement."""
    cement = canvas.pick(0xDAD6CC, 0xC5C9C6, 0xE3D9CC)
    chips = [canvas.pick(0x7E5A4A, 0x5C6B5E), canvas.pick(0x3C3F45, 0x5A5148), canvas.pick(0xB98E6A, 0xA9B1B5)]
    x, y = axes(canvas.size)
    image = np.broadcast_to(cement, (3, canvas.size, canvas.size)).copy()
    for _ in range(420):
        right, down, radius = *canvas.rng.uniform(-1.05, 1.05, 2), canvas.rng.uniform(0.012, 0.05)
        rows, columns = (span(canvas.size, c - 1.3 * radius, c + 1.3 * radius) for c in (down, right))
        sides = canvas.rng.uniform(0.0, 2.0 * np.pi, (7, 1, 1))
        reach = np.cos(sides) * (x[:, columns] - right) + np.sin(sides) * (y[rows] - down)
        chip = canvas.cover(np.max(reach - radius * canvas.rng.uniform(0.5, 1.0, (7, 1, 1)), axis=0, initial=-1.0))
        colour = chips[int(canvas.rng.integers(len(chips)))] * canvas.rng.uniform(0.85, 1.15)
        image[:, rows, columns] = mix(image[:, rows, columns], colour, chip)
    cloud = 1.0 + 0.05 * canvas.fractal(6, 4)
    return _sheet(np.clip(image * cloud * _speckle(canvas, 0.05), 0.0, 1.0), rgb(0x77716A))


def brushed_metal(canvas: Canvas) -> Scene:
    """Sheet metal with a fine horizontal brushing."""
    metal = canvas.pick(0xA9ADB2, 0xB9A283, 0x8F979E)
    streaks = canvas.noise((256, 3)) + 0.7 * canvas.noise((256, 12))
    _, y = canvas.pose(0.4, 4.0)
    band = 0.14 * np.cos(2.2 * y) + 0.03 * canvas.noise(3)
    image = metal * (0.95 + 0.09 * streaks + band)
    return _sheet(np.clip(image, 0.0, 1.0), rgb(0x1E1F22) * _speckle(canvas, 0.2))


def weave(canvas: Canvas) -> Scene:
    """Plain-woven cloth of two yarns."""
    yarns = canvas.pick(0xC9B28A, 0x8FA3B0, 0xB5A7A0), canvas.pick(0x7A6246, 0x4F6272, 0x8C4F4A)
    threads = canvas.design.integers(15, 21) / 2.0
    x, y = canvas.pose(0.25, 2.0)
    bend = 0.12 * canvas.fractal(5, 2)
    u, v = threads * x + bend, threads * y - bend
    column, row = np.floor(u), np.floor(v)
    over = np.where(np.mod(column + row, 2.0) == 0.0, 1.0, -1.0)
    across, along = 2.0 * (u - column) - 1.0, 2.0 * (v - row) - 1.0
    warp = np.sqrt(1.0 - 0.9 * across**2) + 0.8 * over * np.cos(np.pi / 2.0 * along)
    weft = np.sqrt(1.0 - 0.9 * along**2) - 0.8 * over * np.cos(np.pi / 2.0 * across)
    strands = 1.0 + 0.1 * np.sin(np.where(warp > weft, 14.0 * across + 3.0 * along, 14.0 * along + 3.0 * across))
    colour = np.where(warp > weft, yarns[0], yarns[1]) * strands * _speckle(canvas, 0.12)
    top = np.maximum(warp, weft)
    image = canvas.shade(colour * (0.5 + 0.28 * top), 0.2 / threads * top)
    beneath = rgb(0x2B2A2C) * _speckle(canvas, 0.2)

    def lose_thread(rng: np.random.Generator) -> Layer:
        """One warp thread is gone over some of its length: the weft floats there."""
        which, middle = np.floor(threads * rng.uniform(-0.6, 0.6)), rng.uniform(-0.4, 0.4)
        half = rng.uniform(0.2, 0.45)
        gone = cover(box(u - which - 0.5, threads * (y - middle), 0.5, threads * half), threads * canvas.pixel)
        float_height = np.sqrt(1.0 - 0.9 * along**2)
        bare = canvas.shade(yarns[1] * (0.35 + 0.5 * float_height), 0.2 / threads * float_height)
        return Layer(np.where(warp > weft, gone, 0.0), np.where(float_height > 0.6, bare, beneath))

    return replace(_sheet(image, beneath), lose_part=lose_thread)


def wire_mesh(canvas: Canvas) -> Scene:
    """Woven wires over a dark plate."""
    metal, plate = canvas.pick(0xB4B8BC, 0xC2A25E), canvas.pick(0x2A2D33, 0x24322C)
    wires, half = canvas.design.integers(9, 13) / 2.0, canvas.design.uniform(0.2, 0.26)
    x, y = canvas.pose(0.25, 3.0)
    u, v = wires * x, wires * y
    column, row = np.floor(u), np.floor(v)
    over = np.where(np.mod(column + row, 2.0) == 0.0, 1.0, -1.0)
    across, along = u - column - 0.5, v - row - 0.5

    def wire(offset: Array, lift: Array) -> Array:
        """Return the height of a round wire that is bent by ``lift``."""
        return np.sqrt(np.maximum(half * half - offset * offset, 0.0)) + lift

    bend = 0.5 * half
    warp = wire(across, bend * over * np.cos(np.pi * along))
    weft = wire(along, -bend * over * np.cos(np.pi * across))
    on_warp, on_weft = np.abs(across) < half, np.abs(along) < half
    height = np.maximum(np.where(on_warp, warp, -1.0), np.where(on_weft, weft, -1.0))
    softness = wires * canvas.pixel
    body = np.maximum(cover(np.abs(across) - half, softness), cover(np.abs(along) - half, softness))
    relief = np.where(height > -1.0, height, 0.0) / wires
    floor = plate * _speckle(canvas, 0.25)
    steel = canvas.shade(metal * (0.75 + 0.6 * np.maximum(height, 0.0)), relief, 0.5)

    def lose_wire(rng: np.random.Generator) -> Layer:
        """One wire is missing over two or more meshes."""
        which = np.floor(wires * rng.uniform(-0.6, 0.6)) + 0.5
        middle, length = rng.uniform(-0.3, 0.3), rng.uniform(0.3, 0.6)
        gone = cover(box(u - which, v - wires * middle, half, wires * length), softness)
        crossing = canvas.shade(metal * (0.75 + 0.6 * np.maximum(weft, 0.0)), weft / wires, 0.5)
        left = mix(floor, crossing, np.where(on_weft, 1.0, 0.0))
        return Layer(np.where(on_weft & (weft > warp), 0.0, gone), left)

    return replace(place_on(floor, steel, body, 0.03), lose_part=lose_wire)


def tiles(canvas: Canvas) -> Scene:
    """Square glazed tiles in grout."""
    glaze, grout = canvas.pick(0xD8D2C4, 0x7FA3A8, 0xB86F52, 0x9DB08A), canvas.pick(0xA8A39A, 0x6E6A66)
    count, gap = canvas.design.integers(4, 7) / 2.0, 0.05
    x, y = canvas.pose(0.25, 2.0)
    u, v = count * x, count * y
    column, row = np.floor(u), np.floor(v)
    distance = box(u - column - 0.5, v - row - 0.5, 0.5 - gap, 0.5 - gap, 0.06)
    body = cover(distance, count * canvas.pixel)
    tints = canvas.rng.uniform(0.93, 1.07, (16, 16))
    tint = tints[column.astype(np.intp) % 16, row.astype(np.intp) % 16]
    colour = glaze * tint * (1.0 + 0.05 * canvas.fractal(8, 4))
    joint = grout * (1.0 + 0.12 * canvas.fractal(40, 2))
    surface = canvas.shade(colour, 0.025 * dome(distance, 0.09) + 0.003 * canvas.noise(10), 0.2)
    bed = rgb(0x8B857B) * (0.8 + 0.25 * canvas.fractal(20, 4))

    def lose_tile(rng: np.random.Generator) -> Layer:
        """A corner or a large piece of one tile has come off its bed."""
        near = np.floor(count * rng.uniform(-0.6, 0.6, 2)) + 0.5
        corner = near + rng.choice([-0.5, 0.5], 2)
        size = rng.uniform(0.45, 0.8)
        ragged = circle(u - corner[0], v - corner[1], size) + 0.12 * canvas.fractal(9, 3)
        piece = np.maximum(ragged, box(u - near[0], v - near[1], 0.5 - gap, 0.5 - gap, 0.06))
        return Layer(cover(piece, count * canvas.pixel), bed)

    return replace(place_on(joint, surface, body, 0.01), lose_part=lose_tile)


def perforated_sheet(canvas: Canvas) -> Scene:
    """Painted sheet metal with staggered round holes."""
    paint = canvas.pick(0xB7BCC2, 0x5E7C8E, 0xC9B458)
    holes, radius = canvas.design.integers(8, 12) / 2.0, canvas.design.uniform(0.26, 0.32)
    x, y = canvas.pose(0.25, 3.0)
    u, v = holes * x, holes * y / 0.866
    row = np.floor(v)
    stagger = u + 0.5 * np.mod(row, 2.0)
    column = np.floor(stagger)
    rim = circle(stagger - column - 0.5, 0.866 * (v - row - 0.5), radius)
    plain = paint * (1.0 + 0.03 * canvas.fractal(10, 4)) * _speckle(canvas, 0.04)
    sheet = canvas.shade(plain, 0.02 * dome(-rim, 0.12), 0.15)
    body = cover(-rim, holes * canvas.pixel)
    dark = rgb(0x17181A) * _speckle(canvas, 0.3)

    def lose_holes(rng: np.random.Generator) -> Layer:
        """Between one and three neighbouring holes were not punched."""
        first, line = np.floor(holes * rng.uniform(-0.7, 0.4)), np.floor(holes * rng.uniform(-0.7, 0.7) / 0.866)
        many = int(rng.integers(1, 4))
        hit = (row == line) & (column >= first) & (column < first + many)
        return Layer(np.where(hit, cover(rim - 0.1, holes * canvas.pixel), 0.0), plain)

    return replace(place_on(dark, sheet, body, 0.02), lose_part=lose_holes)
