# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A printed circuit board, an object made of many parts."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from .canvas import Canvas
from .colours import mix, rgb
from .scene import Layer, Scene, place_on
from .shapes import Array, box, circle, dome


class Component(NamedTuple):
    """One soldered part as seen through a ``(h, w)`` window of the image.

    Attributes:
        outline: Distance to the part.
        colour: ``(3, h, w)``.
        height: Relief.
        pads: Distance to its pads on the board.
    """

    outline: Array
    colour: Array
    height: Array
    pads: Array


def _chip(canvas: Canvas, x: Array, y: Array, half: float) -> Component:
    """Black square package with legs on two sides and a dot that marks the first."""
    package = box(x, y, half, half, 0.015)
    leg = np.abs(np.mod(y / (half / 3.0), 1.0) - 0.5) * (half / 3.0) - half / 12.0
    legs = np.maximum(np.maximum(leg, np.abs(y) - half * 0.95), np.abs(x) - half - 0.07)
    dot = circle(x + 0.65 * half, y + 0.65 * half, 0.03)
    colour = mix(rgb(0xC6C9CC), mix(rgb(0x2A2B2E), rgb(0x8D9094), canvas.cover(dot)), canvas.cover(package))
    outline = np.minimum(package, legs)
    return Component(outline, colour, 0.03 * dome(package, 0.04), np.maximum(legs, half - 0.03 - np.abs(x)))


def _capacitor(canvas: Canvas, x: Array, y: Array, radius: float) -> Component:
    """Aluminium can from above with a dark polarity mark."""
    can = circle(x, y, radius)
    colour = mix(rgb(0xB4B8BC), rgb(0x33363B), canvas.cover(0.45 * radius - x))
    pads = np.maximum(np.abs(np.abs(x) - 0.5 * radius) - 0.03, np.abs(y) - 0.04)
    return Component(can, colour, 0.05 * dome(can, 0.05), pads)


def _resistor(canvas: Canvas, x: Array, y: Array, half: float) -> Component:
    """Small flat resistor with bright ends."""
    brick = box(x, y, half, 0.5 * half, 0.01)
    ends = half * 0.65 - np.abs(x)
    colour = mix(rgb(0x35312E), rgb(0xD2D4D6), canvas.cover(ends))
    return Component(brick, colour, 0.02 * dome(brick, 0.02), np.maximum(brick - 0.02, ends))


_LAYOUT = (
    (_chip, -0.34, -0.22, 0.24),
    (_chip, 0.42, 0.28, 0.18),
    (_capacitor, 0.32, -0.42, 0.14),
    (_capacitor, 0.64, -0.4, 0.11),
    (_capacitor, -0.62, 0.42, 0.13),
    (_resistor, -0.34, 0.32, 0.1),
    (_resistor, -0.34, 0.5, 0.1),
    (_resistor, -0.06, 0.32, 0.1),
    (_resistor, -0.06, 0.5, 0.1),
    (_resistor, 0.2, -0.12, 0.1),
    (_resistor, 0.5, -0.12, 0.1),
)


def _traces(canvas: Canvas, x: Array, y: Array) -> Array:
    """Return the distance to the copper: lines that turn from row to column."""
    distance = np.full_like(x, 1.0)
    for row, column in canvas.design.uniform(-0.62, 0.62, (9, 2)):
        across = np.maximum(np.abs(y - row) - 0.01, column - x)
        down = np.maximum(np.abs(x - column) - 0.01, np.abs(y - row / 2.0) - abs(row) / 2.0)
        distance = np.minimum(distance, np.minimum(across, down))
    return distance


def _window(x: Array, y: Array, reach: float) -> tuple[slice, slice]:
    """Return the rows and columns of the image within ``reach`` of where x and y are 0."""
    near = (np.abs(x) < reach) & (np.abs(y) < reach)
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def circuit_board(canvas: Canvas) -> Scene:
    """Printed circuit board with chips, capacitors and resistors."""
    lacquer, support = canvas.pick(0x1F6B3F, 0x1F4C7A, 0x7A2430), canvas.backdrop(0xA9A59C, 0x8F9AA0, 0xB8AE9C)
    flip_x, flip_y = 2.0 * canvas.design.integers(2, size=2) - 1.0
    x, y = canvas.pose(0.03, 4.0)
    holes = circle(np.abs(x) - 0.77, np.abs(y) - 0.63, 0.045)
    outline = np.maximum(box(x, y, 0.86, 0.72, 0.05), -holes)
    traces = np.maximum(_traces(canvas, x, y), outline + 0.04)
    colour = mix(lacquer, np.clip(1.3 * lacquer + 0.1, 0.0, 1.0), canvas.cover(traces))
    height = 0.015 * dome(outline, 0.03) + 0.004 * dome(traces, 0.01)
    bare_colour, bare_height, footprints = colour.copy(), height.copy(), []
    for draw, right, down, size in _LAYOUT:
        u, v = flip_x * x - right, flip_y * y - down
        rows, columns = window = _window(u, v, 1.5 * size + 0.05)
        part = draw(canvas, u[window], v[window], size)
        on_pad, near, on_part = (canvas.cover(d) for d in (part.pads, part.outline - 0.02, part.outline))
        bare_colour[:, rows, columns] = mix(bare_colour[:, rows, columns], rgb(0xD6C99A), on_pad)
        below = mix(colour[:, rows, columns], rgb(0xD6C99A), on_pad) * (1.0 - 0.35 * near)
        colour[:, rows, columns] = mix(below, part.colour, on_part)
        height[window] += on_part * (part.height - height[window])
        footprints.append((window, near))

    def lose_component(rng: np.random.Generator) -> Layer:
        """One component was not placed: its bare pads show."""
        window, near = footprints[int(rng.integers(len(footprints)))]
        gone = np.zeros_like(x)
        gone[window] = near
        return Layer(gone, canvas.shade(bare_colour, bare_height, 0.15))

    surface = canvas.shade(colour, height, 0.3)
    return replace(place_on(support, surface, canvas.cover(outline)), lose_part=lose_component)
