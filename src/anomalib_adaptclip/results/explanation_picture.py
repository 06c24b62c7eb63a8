# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The picture of an explanation: what each adapter marks, and beside each abnormal region the nearest good patch."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image, ImageDraw

from .explanation import Explanation, Region
from .geometry import Box, Geometry
from .heat_scale import HeatScale, colours
from .picture import (
    Panel,
    Pixels,
    Verdict,
    caption_strip,
    draw_boxes,
    fitted,
    hatched,
    legend_strip,
    letter_size,
    map_on_panel,
    outlined,
    outside_of,
    panel_row,
    panels_of,
    photo_pixels,
    stack,
    whole,
)
from .picture_text import FAINT, INK, PAPER, font, number, shortened

ReadPhoto = Callable[[str], torch.Tensor]

_PATCHES = 7  # a cut-out shows so many patches around one, at least
_TITLES = {"prompt_query": "prompt-query"}


class CutOut(NamedTuple):
    """Where a square is cut out of a photo, and the patch to mark in it.

    Attributes:
        centre: x and y in pixels of the photo.
        side: Its length in pixels.
        patch: Box in pixels of the photo.
    """

    centre: tuple[float, float]
    side: float
    patch: Box


def render_explanation(
    photo: torch.Tensor,
    explanation: Explanation,
    scale: HeatScale,
    verdict: Verdict,
    read: ReadPhoto,
    *,
    geometry: Geometry | None = None,
    truth: torch.Tensor | None = None,
    region: torch.Tensor | None = None,
    name: str = "",
) -> Image.Image:
    """Draw what the model makes of a photo, and why.

    Below the picture of :func:`.picture.render_picture`, whose arguments these are, come the maps of the adapters and
    the alignment, each in its own range; and for each region a cut-out of the photo beside one of the good photo that
    has the nearest patch, and that photo as a whole.

    Args:
        photo: ``(3, H, W)`` in [0, 1].
        explanation: Its boxes are in pixels of the photo, see :meth:`.Explanation.in_file`.
        scale: Colours of the map.
        verdict: What the caption says.
        read: Reads a good photo's file, ``(3, H, W)`` in [0, 1]. Those that it raises OSError or ValueError for are
            left out.
        geometry: Where the maps lie in the photo.
        truth: Mask ``(h, w)`` of what is known to be abnormal.
        region: Mask over the whole photo, of what is judged.
        name: What the photo is called.

    Returns:
        The picture, RGB.
    """
    way = geometry or whole(photo, explanation.anomaly_map)
    panels = panels_of(photo, explanation.anomaly_map, scale, geometry=way, truth=truth, region=region)
    unit = letter_size(panels)
    numbered = numbered_panel(panels[0].pixels, explanation, scale, way)
    panels = [*panels[:2], numbered, *(panel for panel in panels[2:] if panel.title.startswith("ground truth"))]
    rows = [
        panel_row(panels, unit),
        legend_strip(scale, unit),
        heading("What each adapter marks, and its score of the image, before fusion", unit),
        panel_row(adapter_panels(explanation, way, panels[0].pixels, region), unit),
    ]
    if any(found.patch for found in explanation.regions):
        rows.append(heading("The most abnormal regions, and the good patch that comes nearest", unit))
        rows += [evidence(photo, found, index, read, unit) for index, found in enumerate(explanation.regions, 1)]
    width = max(row.width for row in rows)
    return stack([caption_strip(verdict, name, unit, width), *rows])


def adapter_panels(
    explanation: Explanation, geometry: Geometry, photo: Pixels, region: torch.Tensor | None = None
) -> list[Panel]:
    """Maps of the adapters and of the alignment, each in its own range, at two thirds of the photo's size."""
    size = (max(1, photo.shape[0] * 2 // 3), max(1, photo.shape[1] * 2 // 3))
    maps = dict(explanation.maps) | ({} if explanation.alignment is None else {"alignment": explanation.alignment})
    panels = []
    for name, values in maps.items():
        low, high = float(values.min()), float(values.max())
        drawn = map_on_panel(values, geometry, size)
        position = (np.nan_to_num(drawn, nan=low) - low) / max(high - low, 1e-6)
        pixels = colours(position.clip(0, 1)).round().astype(np.uint8)
        score = f": {number(explanation.scores[name])}" if name in explanation.scores else ""
        title, note = f"{_TITLES.get(name, name)}{score}", f"map from {low:.3f} to {high:.3f}"
        panels.append(Panel(title, hatched(pixels, np.isnan(drawn) | outside_of(region, size)), note))
    return panels


def heading(text: str, unit: int) -> Image.Image:
    """A line of bold text."""
    bold = font(unit, bold=True)
    strip = Image.new("RGB", (round(bold.getlength(text)) + 2 * unit, unit * 2), PAPER)
    ImageDraw.Draw(strip).text((unit, unit * 1.5), text, INK, bold, anchor="ls")
    return strip


def evidence_panels(photo: torch.Tensor, region: Region, index: int, read: ReadPhoto, side: int) -> list[Panel]:
    """A region cut out, and what comes nearest among the good photos, where that is known and there.

    Args:
        photo: ``(3, H, W)`` in [0, 1].
        region: The region.
        index: Its number, from 1.
        read: Reads a good photo's file.
        side: Pixels of the longer side of each panel.
    """
    query = cut_out_of(region)
    panels = [Panel(f"region {index}, cut out", cut(photo, query, side))]
    good = _good_photo(region, read)
    if good is not None and region.prompt_box is not None and region.patch is not None:
        like = same_place(query, region.prompt_box)
        panels += [
            Panel("nearest good patch", cut(good, like, side)),
            Panel("in this good photo", marked_photo(good, region.prompt_box, side)),
        ]
    return panels


def evidence(photo: torch.Tensor, region: Region, index: int, read: ReadPhoto, unit: int) -> Image.Image:
    """A region beside what comes nearest among the good photos, and how near that is."""
    panels = evidence_panels(photo, region, index, read, unit * 15)
    row = panel_row(panels, unit)
    text = evidence_lines(region, index, is_known=len(panels) > 1)
    letters = font(unit)
    width = max(round(max(letters.getlength(line) for line in text)), unit * 20)
    card = Image.new("RGB", (row.width + width + unit, row.height), PAPER)
    card.paste(row, (0, 0))
    draw = ImageDraw.Draw(card)
    for line, words in enumerate(text):
        ink = (INK, font(unit, bold=True)) if line == 0 else (INK if line < 3 else FAINT, letters)
        draw.text((row.width, unit * (3 + 1.7 * line)), words, *ink, anchor="ls")
    return card


def cut_out_of(region: Region) -> CutOut:
    """The square to cut out around a region: it and some patches around."""
    left, top, right, bottom = region.box
    patch = region.patch or region.box
    side = max(1.2 * max(right - left, bottom - top), _PATCHES * max(patch[2] - patch[0], patch[3] - patch[1]))
    return CutOut(((left + right) / 2, (top + bottom) / 2), side, patch)


def same_place(query: CutOut, patch: Box) -> CutOut:
    """The square of a good photo that shows its patch at the size and the place that a cut-out shows its own."""
    own, other = query.patch, patch
    ratio = (other[2] - other[0]) / max(own[2] - own[0], 1)
    middle = [(own[axis] + own[axis + 2]) / 2 for axis in (0, 1)]
    centre = [(other[axis] + other[axis + 2]) / 2 + (query.centre[axis] - middle[axis]) * ratio for axis in (0, 1)]
    return CutOut((centre[0], centre[1]), query.side * ratio, patch)


def cut(photo: torch.Tensor, where: CutOut, side: int) -> Pixels:
    """Cut a square out of a photo, moved into it where it would reach beyond, and mark the patch.

    Args:
        photo: ``(3, H, W)`` in [0, 1].
        where: What to cut out.
        side: Pixels of the result.
    """
    height, width = photo.shape[-2:]
    length = max(1, round(min(where.side, height, width)))
    left = round(np.clip(where.centre[0] - length / 2, 0, width - length))
    top = round(np.clip(where.centre[1] - length / 2, 0, height - length))
    part = photo_pixels(photo[:, top : top + length, left : left + length], side, side)
    factor = side / length
    x0, y0, x1, y1 = where.patch
    box = ((x0 - left) * factor, (y0 - top) * factor, (x1 - left) * factor, (y1 - top) * factor)
    return draw_boxes(part, [tuple(round(edge) for edge in box)])


def marked_photo(photo: torch.Tensor, box: Box, side: int) -> Pixels:
    """A whole photo ``(3, H, W)``, its longer side of a length, with a box."""
    pixels = photo_pixels(photo, side, side)
    return draw_boxes(pixels, fitted([box], (photo.shape[-2], photo.shape[-1]), (pixels.shape[0], pixels.shape[1])))


def numbered_panel(pixels: Pixels, explanation: Explanation, scale: HeatScale, geometry: Geometry) -> Panel:
    """The photo with the regions, numbered, and outlines where there is a threshold."""
    size = (pixels.shape[0], pixels.shape[1])
    boxes = fitted([region.box for region in explanation.regions], geometry.size, size)
    drawn = pixels
    if scale.threshold is not None:
        drawn = outlined(drawn, map_on_panel(explanation.anomaly_map, geometry, size) > scale.threshold)
    drawn = draw_boxes(drawn, boxes)
    picture = Image.fromarray(drawn)
    draw, unit = ImageDraw.Draw(picture), max(13, max(size) // 28)
    for index, (left, top, _, bottom) in enumerate(boxes, 1):
        above = top > unit * 1.4
        place = (left + unit * 0.7, top - unit * 0.7 if above else min(bottom + unit * 0.7, size[0] - unit * 0.7))
        draw.circle(place, unit * 0.65, PAPER, INK)
        draw.text(place, str(index), INK, font(unit, bold=True), anchor="mm")
    is_above = scale.threshold is not None and float(explanation.anomaly_map.max()) > scale.threshold
    return Panel("most abnormal regions" if is_above else "highest regions", np.asarray(picture))


def evidence_lines(region: Region, index: int, *, is_known: bool) -> Sequence[str]:
    """What is said beside a region."""
    lines = [f"Region {index}: up to {number(region.score)}"]
    if region.distance is None:
        return lines
    lines += [f"cosine distance {region.distance:.3f}", f"from the nearest good patch, at layer {region.layer}"]
    lines.append("0: the same, 1: nothing in common")
    if region.prompt_file:
        lines.append(shortened(f"good photo: {Path(region.prompt_file).name}", font(13).getlength("m") * 24, font(13)))
    if not is_known:
        lines.append("the good photo is not known" if not region.prompt_file else "the good photo is not there")
    return lines


def _good_photo(region: Region, read: ReadPhoto) -> torch.Tensor | None:
    with suppress(OSError, ValueError):
        return read(region.prompt_file) if region.prompt_file else None
    return None
