# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the page shows of photos: a list of small pictures, and one photo with all there is to say of it, as HTML."""

import base64
import io
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from anomalib_adaptclip.files.templates import templates_of
from anomalib_adaptclip.results.explanation import Explanation
from anomalib_adaptclip.results.explanation_picture import (
    adapter_panels,
    evidence_lines,
    evidence_panels,
    numbered_panel,
)
from anomalib_adaptclip.results.picture import Panel, legend_colours, legend_marks, panels_of, photo_pixels
from anomalib_adaptclip.results.picture_text import number, percent

from .photos import JudgedPhoto
from .session import Judgement

_QUALITY, _CUT_OUT, _LEGEND = 88, 300, 600
_TEMPLATES = templates_of("anomalib_adaptclip.app")


class Figure(NamedTuple):
    """An image and its text.

    Attributes:
        title: What it shows.
        source: The image itself, as a data URL.
        note: What is to be said of it.
    """

    title: str
    source: str
    note: str = ""


def thumbnails(judged: Judgement, folder: Path) -> list[tuple[str, str]]:
    """Write small pictures of all photos, the most abnormal first.

    Args:
        judged: The photos.
        folder: Folder to write to, new each time: browsers keep pictures by their paths.

    Returns:
        File and caption of each.
    """
    listed = []
    for place, photo in enumerate(judged.photos):
        verdict = judged.verdict(photo)
        file = folder / f"{place}.jpg"
        photo.thumbnail(judged.level, verdict).save(file, quality=_QUALITY)
        word = "" if verdict.threshold is None else f"{verdict.word} "
        listed.append((str(file), f"{word}{number(photo.score, verdict.threshold)}, {photo.name}"))
    return listed


def summary(judged: Judgement) -> str:
    """The result, and what is to be said of it, as HTML."""
    return _render("summary.html", result=judged.result, remarks=judged.remarks)


def meaning(judged: Judgement) -> str:
    """What the threshold stands for, in a sentence."""
    level, start = judged.level, judged.levels.start
    if level.image is None:
        return ""
    own = " (the calibrated one)" if level.image == start.image else ""
    text = f"Threshold {number(level.image, start.image)}{own}: photos that score higher are abnormal."
    share = judged.levels.share(level.image)
    if share is None:
        return f"{text} How many good photos that would be is not known."
    return f"{text} About {percent(share)} of good photos would be judged abnormal."


def card(judged: Judgement, place: int, *, explain: bool) -> str:
    """One photo as HTML: its verdict, heat map and outlines; and why, if that is wanted.

    Args:
        judged: The photos.
        place: Its place among them.
        explain: Whether to add what each adapter marks, and the nearest good patches.
    """
    photo = judged.photos[place]
    pixels = judged.model.image_reader.read(photo.path)
    heat, way = judged.level.heat, photo.geometry
    panels = panels_of(pixels, photo.anomaly_map, heat, geometry=way, region=judged.region)
    facts: dict[str, Any] = {"adapters": [], "regions": []}
    if explain:
        explanation = judged.explanation(place).in_file(way)
        panels[2:] = [numbered_panel(panels[0].pixels, explanation, heat, way)]
        facts = _reasons(photo, pixels, explanation, judged)
    return _render(
        "card.html",
        name=photo.name,
        verdict=judged.verdict(photo),
        panels=[_figure(panel) for panel in [*panels[1:], panels[0]]],
        legend={
            "title": "Colours of the heat map",
            "source": _data_url(legend_colours(heat, _LEGEND, 1)),
            "marks": legend_marks(heat),
        },
        **facts,
    )


def _reasons(photo: JudgedPhoto, pixels: torch.Tensor, explanation: Explanation, judged: Judgement) -> dict[str, Any]:
    read = judged.model.image_reader.read
    regions = []
    for index, region in enumerate(explanation.regions, 1):
        panels = evidence_panels(pixels, region, index, read, _CUT_OUT)
        text = evidence_lines(region, index, is_known=len(panels) > 1)
        regions.append({"title": text[0], "lines": text[1:], "panels": [_figure(panel) for panel in panels]})
    small = photo_pixels(pixels, 480, 320)
    return {
        "adapters": [_figure(panel) for panel in adapter_panels(explanation, photo.geometry, small, judged.region)],
        "regions": regions,
    }


def _figure(panel: Panel) -> Figure:
    return Figure(panel.title, _data_url(Image.fromarray(panel.pixels)), panel.note)


def _data_url(image: Image.Image) -> str:
    content = io.BytesIO()
    image.save(content, "WEBP", quality=_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def _render(template: str, **values: object) -> str:
    return _TEMPLATES.get_template(template).render(**values)
