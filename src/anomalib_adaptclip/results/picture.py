# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The picture of a verdict: photo, heat map, regions and ground truth side by side, with a caption and a legend.

Letters: H and W pixels of the photo, h and w of the map.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch.nn.functional import interpolate

from .geometry import Box, FileGeometry, Geometry
from .heat_scale import HeatScale
from .picture_text import FAINT, INK, PAPER, font, number, percent, shortened
from .regions import boxes_of

Pixels = NDArray[Any]  # (H, W, 3), uint8
Colour = tuple[int, int, int]

LONGEST, SHORTEST = 1024, 320  # longer side of a panel in pixels
_BLACK, _OUTLINE, _BOX = (0, 0, 0), (0, 229, 255), (255, 255, 255)  # lines with a dark seam show on any photo
VERDICT_COLOURS = {"abnormal": (176, 42, 0), "good": (0, 84, 147)}  # told apart by the colour-blind too
_UNKNOWN = (90, 98, 104)
NOT_CALIBRATED = "not calibrated: rank only"


@dataclass(frozen=True)
class Verdict:
    """What is said of an image; raw values as the model gives them, in [0, 1].

    Attributes:
        score: Anomaly score, None where there is none.
        threshold: Scores above it are abnormal. None without calibration.
        is_abnormal: The verdict, None where there is none.
        share: Share of good images that are expected to score as high, None where it is not known.
    """

    score: float | None = None
    threshold: float | None = None
    is_abnormal: bool | None = None
    share: float | None = None

    @property
    def word(self) -> str:
        """The verdict in a word."""
        if self.is_abnormal is None or self.threshold is None:
            return "no verdict"
        return "abnormal" if self.is_abnormal else "good"

    @property
    def figures(self) -> str:
        """Score, threshold and what they mean, in a line."""
        parts = [] if self.score is None else [f"score {number(self.score, self.threshold)}"]
        if self.threshold is None:
            return ", ".join([*parts, NOT_CALIBRATED])
        parts.append(f"threshold {number(self.threshold, self.score)}")
        if self.share is not None:
            parts.append(f"{percent(self.share)} of good photos score as high")
        return ", ".join(parts)


class Panel(NamedTuple):
    """A part of a picture.

    Attributes:
        title: What stands above it.
        pixels: Its image.
        note: What stands below it.
    """

    title: str
    pixels: Pixels
    note: str = ""


def render_picture(
    photo: torch.Tensor,
    anomaly_map: torch.Tensor | None,
    scale: HeatScale,
    verdict: Verdict,
    *,
    geometry: Geometry | None = None,
    truth: torch.Tensor | None = None,
    region: torch.Tensor | None = None,
    name: str = "",
) -> Image.Image:
    """Draw what the model makes of a photo.

    Args:
        photo: ``(3, H, W)`` in [0, 1]. It is drawn in its shape, at 320 to 1024 pixels of its longer side.
        anomaly_map: Raw values ``(h, w)``. None draws the photo alone.
        scale: Colours of the map, the same for all pictures that are to be compared.
        verdict: What the caption says.
        geometry: Where the map lies in the photo; all over it by default. What the model did not see is hatched.
        truth: Mask ``(h, w)`` of what is known to be abnormal, in the map's pixels.
        region: Mask of any size over the whole photo, of what is judged; all by default. The rest is hatched too.
        name: What the photo is called, usually its file's name.

    Returns:
        The picture, RGB.
    """
    panels = panels_of(photo, anomaly_map, scale, geometry=geometry, truth=truth, region=region)
    return compose(panels, scale if anomaly_map is not None else None, verdict, name)


def panels_of(
    photo: torch.Tensor,
    anomaly_map: torch.Tensor | None,
    scale: HeatScale,
    *,
    geometry: Geometry | None = None,
    truth: torch.Tensor | None = None,
    region: torch.Tensor | None = None,
) -> list[Panel]:
    """The panels of :func:`render_picture`, whose arguments these are, without caption and legend."""
    pixels = photo_pixels(photo)
    panels = [Panel("photo", pixels)]
    size = (pixels.shape[0], pixels.shape[1])
    if anomaly_map is not None:
        way = geometry or whole(photo, anomaly_map)
        values = map_on_panel(anomaly_map, way, size)
        heat = scale.over(pixels, np.nan_to_num(values))
        panels.append(Panel("heat map", hatched(heat, np.isnan(values) | outside_of(region, size))))
        if scale.threshold is not None:
            boxes = boxes_of(anomaly_map.cpu() > scale.threshold, way)
            panels.append(
                Panel(_counted(len(boxes)), outlined(pixels, values > scale.threshold, fitted(boxes, way.size, size)))
            )
    if truth is not None:
        truth = truth.float() if anomaly_map is None else resized_mask(truth, anomaly_map)
        mask = map_on_panel(truth, geometry or whole(photo, truth), size) > 0.5
        panels.append(Panel("ground truth" if mask.any() else "ground truth: good", outlined(pixels, mask)))
    return panels


def photo_pixels(photo: torch.Tensor, longest: int = LONGEST, shortest: int = SHORTEST) -> Pixels:
    """A photo ``(3, H, W)`` in [0, 1] at the size of a panel, uint8."""
    height, width = photo.shape[-2:]
    factor = min(longest / max(height, width), max(1.0, shortest / max(height, width)))
    size = (max(1, round(height * factor)), max(1, round(width * factor)))
    photo = photo.detach().cpu().float()
    if factor < 1:  # before all else, for photos may be large
        photo = interpolate(photo[None], size, mode="area")[0]
    pixels = (photo.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).contiguous().numpy()
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_CUBIC) if factor > 1 else pixels


def whole(photo: torch.Tensor, values: torch.Tensor) -> Geometry:
    """Geometry of a map that lies all over its photo."""
    return FileGeometry().of((photo.shape[-2], photo.shape[-1]), (values.shape[-2], values.shape[-1]))


def map_on_panel(values: torch.Tensor, geometry: Geometry, size: tuple[int, int]) -> Pixels:
    """A map ``(h, w)`` in the pixels of a panel, NaN where the model did not see the photo."""
    return geometry.resized(size).to_file(values.detach().cpu().float(), outside=float("nan")).numpy()


def resized_mask(mask: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A mask ``(h, w)`` at the size of a map."""
    return interpolate(mask.detach().cpu().float()[None, None], like.shape[-2:])[0, 0]


def outside_of(region: torch.Tensor | None, size: tuple[int, int]) -> Pixels:
    """Pixels of a panel that lie outside a region of interest, a mask over the whole photo; none without one."""
    if region is None:
        return np.zeros(size, np.bool_)
    return (interpolate(region.cpu().float()[None, None], size, mode="nearest-exact")[0, 0] < 0.5).numpy()


def hatched(pixels: Pixels, where: Pixels) -> Pixels:
    """Grey out and hatch what the model did not see or judge."""
    if not where.any():
        return pixels
    y, x = np.indices(where.shape)
    grey = (pixels.mean(axis=-1, keepdims=True) * 0.35 + 120).repeat(3, axis=-1)
    grey[(x + y) % 12 < 2] = 70
    return np.where(where[..., None], grey.astype(np.uint8), pixels)


def outlined(pixels: Pixels, mask: Pixels, boxes: Sequence[Box] = ()) -> Pixels:
    """Draw the outlines of a mask ``(H, W)``, and boxes, right and bottom exclusive."""
    drawn = draw_boxes(pixels, boxes)
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    line = _line_of(pixels)
    for colour, thickness in ((_BLACK, line + 2), (_OUTLINE, line)):
        cv2.drawContours(drawn, contours, -1, colour, thickness, cv2.LINE_AA)
    return drawn


def draw_boxes(pixels: Pixels, boxes: Sequence[Box]) -> Pixels:
    """Draw boxes, right and bottom exclusive, on a copy."""
    drawn = np.array(pixels)
    line = _line_of(pixels)
    for colour, thickness in ((_BLACK, line + 2), (_BOX, line)):
        for left, top, right, bottom in boxes:
            cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), colour, thickness)
    return drawn


def fitted(boxes: Sequence[Box], file: tuple[int, int], size: tuple[int, int]) -> list[Box]:
    """Boxes of a file of a height and width in the pixels of a panel."""
    down, across = size[0] / file[0], size[1] / file[1]
    return [
        (round(left * across), round(top * down), round(right * across), round(bottom * down))
        for left, top, right, bottom in boxes
    ]


def compose(panels: Sequence[Panel], scale: HeatScale | None, verdict: Verdict, name: str) -> Image.Image:
    """Put panels of one size side by side, with a caption above and a legend below."""
    unit = letter_size(panels)
    row = panel_row(panels, unit)
    legend = [legend_strip(scale, unit)] if scale else []
    width = max(row.width, unit * 43)  # for the caption
    return stack([caption_strip(verdict, name, unit, width), row, *legend])


def letter_size(panels: Sequence[Panel]) -> int:
    """Size of letters that suits the size of the panels."""
    return int(np.clip(max(panels[0].pixels.shape[:2]) / 28, 13, 26))


def stack(strips: Sequence[Image.Image]) -> Image.Image:
    """Put pictures below each other, at the left."""
    picture = Image.new("RGB", (max(strip.width for strip in strips), sum(strip.height for strip in strips)), PAPER)
    top = 0
    for strip in strips:
        picture.paste(strip, (0, top))
        top += strip.height
    return picture


def panel_row(panels: Sequence[Panel], unit: int) -> Image.Image:
    """Put panels side by side, each below its title. Letters are ``unit`` pixels high."""
    title, letters = round(unit * 1.7), font(unit)
    columns = [max(panel.pixels.shape[1], *(round(letters.getlength(text)) for text in panel[::2])) for panel in panels]
    width = unit + sum(column + unit for column in columns)
    notes = round(unit * 1.7) if any(panel.note for panel in panels) else 0
    row = Image.new("RGB", (width, title + max(panel.pixels.shape[0] for panel in panels) + notes + unit), PAPER)
    draw = ImageDraw.Draw(row)
    left = unit
    for panel, column in zip(panels, columns, strict=True):
        draw.text((left, title - unit * 0.5), panel.title, FAINT, letters, anchor="ls")
        row.paste(Image.fromarray(panel.pixels), (left, title))
        draw.text((left, title + panel.pixels.shape[0] + unit * 1.4), panel.note, FAINT, letters, anchor="ls")
        left += column + unit
    return row


def caption_strip(verdict: Verdict, name: str, unit: int, width: int) -> Image.Image:
    """Write the verdict, its figures, and the photo's name."""
    strip = Image.new("RGB", (width, round(unit * 4.8)), PAPER)
    draw = ImageDraw.Draw(strip)
    letters, bold = font(unit), font(round(unit * 1.15), bold=True)
    colour = VERDICT_COLOURS.get(verdict.word, _UNKNOWN)
    length = bold.getlength(verdict.word)
    badge = (unit, unit, unit * 2.2 + length, unit * 2.8)
    draw.rounded_rectangle(badge, unit // 3, colour)
    draw.text((unit * 1.6, unit * 1.9), verdict.word, PAPER, bold, anchor="lm")
    left = badge[2] + unit * 0.8
    draw.text((left, unit * 1.9), shortened(verdict.figures, width - left - unit, letters), INK, letters, anchor="lm")
    draw.text((unit, unit * 4.1), shortened(name, width - 2 * unit, letters), FAINT, letters, anchor="ls")
    return strip


def legend_strip(scale: HeatScale, unit: int) -> Image.Image:
    """Draw the colours, over light grey, with the scale's marks below."""
    length, high = unit * 40, unit
    strip = Image.new("RGB", (length + 2 * unit, round(unit * 3.5)), PAPER)
    strip.paste(legend_colours(scale, length, high), (unit, 0))
    draw = ImageDraw.Draw(strip)
    draw.rectangle((unit, 0, unit + length, high), outline=FAINT)
    for place, mark, anchor in zip((0, 0.5, 1), legend_marks(scale), ("la", "ma", "ra"), strict=True):
        x = unit + place * length
        draw.line((x, high, x, high * 1.4), FAINT)
        draw.text((x, high * 1.6), mark, FAINT, font(unit), anchor=anchor)
    return strip


def legend_colours(scale: HeatScale, length: int, high: int) -> Image.Image:
    """The colours of a scale from left to right, over light grey."""
    marks = (scale.typical, scale.middle, scale.end)
    values = np.interp(np.linspace(0, 1, length), (0, 0.5, 1), marks)[None].repeat(high, axis=0)
    return Image.fromarray(scale.over(np.full((high, length, 3), 235, np.uint8), values))


def legend_marks(scale: HeatScale) -> list[str]:
    """What the left end, the middle and the right end of the colours mean."""
    lowest = "typical good" if scale.is_of_good else "lowest"
    names = ("not calibrated:", "", "max") if scale.threshold is None else (lowest, "threshold", "max")
    marks = (scale.typical, scale.middle, scale.end)
    return [f"{name} {number(mark)}".strip() for name, mark in zip(names, marks, strict=True)]


def _line_of(pixels: Pixels) -> int:
    return int(max(2, round(max(pixels.shape) / 300)))


def _counted(regions: int) -> str:
    return f"{regions or 'no'} region{'' if regions == 1 else 's'} above the threshold"
