# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Prepares the pictures of runs for the gallery of the report's page."""

import logging
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from anomalib_adaptclip.comparison.gallery_file import MIME_TYPES, Panel, Pictures, SameImage, unpack
from anomalib_adaptclip.comparison.run_files import gallery_path

from .averages import shots_order
from .runs import Runs

logger = logging.getLogger(__name__)

NAMES = {
    "query": "query",
    "prompt": "prompt",
    "plain": "CLIP",
    "visual": "visual adapter",
    "textual": "textual adapter",
    "prompt_query": "prompt-query adapter",
    "alignment": "alignment",
    "fused": "fused",
    "mask": "mask",
}


class Picture(NamedTuple):
    """A picture on the page.

    Attributes:
        source: Image data as a ``data:`` URL.
        text: Alternative text, which says what the picture shows.
        label: Caption below the picture.
    """

    source: str
    text: str
    label: str


class Strip(NamedTuple):
    """A row of the gallery, which shows one image under test.

    Attributes:
        head: Rank of the image, such as ``"best"``.
        details: Metric and score of the image.
        cells: Pictures of each column; a column may have none.
    """

    head: str
    details: str
    cells: list[list[Picture]]


class Gallery(NamedTuple):
    """All pictures of a run.

    Attributes:
        run: The run, as a row of the frame of runs.
        heads: Headings of the columns.
        strips: Rows with the best, the median and the worst image.
    """

    run: Any
    heads: list[str]
    strips: list[Strip]


class Shown(NamedTuple):
    """What a model makes of an image.

    Attributes:
        picture: Its map, or None if it has none.
        score: Its score, such as ``"0.873"``, empty if the model was not run on the image.
        rank: How many of the good images under test have a lower score, in words, empty without good images.
    """

    picture: Picture | None = None
    score: str = ""
    rank: str = ""


class SameRow(NamedTuple):
    """An image that all models show.

    Attributes:
        kind: ``"good"`` or ``"abnormal"``.
        path: Path of the image in its data set.
        query: The image, or None if no model has its picture.
        mask: Its mask, or None if it has none.
        shown: What each model makes of it, in the order of the models.
    """

    kind: str
    path: str
    query: Picture | None
    mask: Picture | None
    shown: list[Shown]


class SideBySide(NamedTuple):
    """All models of a sweep on the same images of a category.

    Attributes:
        data_set: Name of the data set.
        category: Name of the category, empty if there is none.
        heads: For each model its name, and what was run, such as ``"1 shot, seed 10"``.
        rows: Good images, then abnormal ones.
    """

    data_set: str
    category: str
    heads: list[tuple[str, str]]
    rows: list[SameRow]


class AllPictures(NamedTuple):
    """The pictures of a table of runs.

    Attributes:
        galleries: AdaptCLIP's best, median and worst images, for each run with pictures of them.
        side_by_side: All models on the same images, for each category with pictures of them.
        problems: A message for each file that cannot be read.
    """

    galleries: list[Gallery]
    side_by_side: list[SideBySide]
    problems: list[str]


def read_pictures(runs: Runs) -> AllPictures:
    """Read the pictures that are stored beside a table of runs.

    Args:
        runs: Runs of the table.
    """
    galleries: list[Gallery] = []
    problems: list[str] = []
    same: dict[tuple[str, str], list[tuple[Any, list[SameImage]]]] = {}
    for run in runs.frame.itertuples():
        path = gallery_path(runs.path, run)
        if run.error or not path.is_file():
            continue
        try:
            pictures, images = unpack(path)
        except ValueError as error:
            logger.warning("%s", error)
            problems.append(str(error))
            continue
        if pictures:
            galleries.append(_gallery(run, pictures))
        if images:
            same.setdefault((run.data_set, run.category), []).append((run, images))
    models = list(runs.frame.model.unique())
    return AllPictures(galleries, [_side_by_side(found, models) for found in same.values()], problems)


def _side_by_side(found: Sequence[tuple[Any, list[SameImage]]], models: Sequence[str]) -> SideBySide:
    """Put the images of a category side by side, with one run of each model: the fewest shots, but some if it has any.

    Runs of several sweeps may show different images. What a model lacks stays empty.
    """
    by_model: dict[str, tuple[Any, list[SameImage]]] = {}
    for run, images in sorted(found, key=lambda one: (one[0].shots == "0", shots_order(one[0].shots), one[0].seed)):
        by_model.setdefault(run.model, (run, images))
    chosen = [by_model[model] for model in models if model in by_model]
    by_image = [{(image.path, image.digest): image for image in images} for _, images in chosen]
    keys = sorted({(image.is_abnormal, *key) for images in by_image for key, image in images.items()})
    rows = [
        _same_row([images.get((path, digest)) for images in by_image], [run.model for run, _ in chosen])
        for _, path, digest in keys
    ]
    first = chosen[0][0]
    heads = [(run.model, f"{in_words(run.shots)}, seed {run.seed}") for run, _ in chosen]
    return SideBySide(first.data_set, first.category, heads, rows)


def _same_row(images: Sequence[SameImage | None], models: Sequence[str]) -> SameRow:
    known = [image for image in images if image]
    kind, path = "abnormal" if known[0].is_abnormal else "good", known[0].path
    panels = {panel.name: panel for image in reversed(known) for panel in image.panels}
    query, mask = (
        Picture(_source(panels[name]), f"{kind} image: {NAMES[name]} {path}", "") if name in panels else None
        for name in ("query", "mask")
    )
    shown = [_shown(image, f"{kind} image: {model} {path}") for image, model in zip(images, models, strict=True)]
    return SameRow(kind, path, query, mask, shown)


def _shown(image: SameImage | None, text: str) -> Shown:
    if image is None:
        return Shown()
    panel = next((panel for panel in image.panels if panel.name == "map"), None)
    picture = Picture(_source(panel), text, f"{panel.low:.3g} to {panel.high:.3g}") if panel else None
    rank = f"above {image.good_below} of {image.good} good" if image.good else ""
    return Shown(picture, f"{image.score:.3g}", rank)


def in_words(shots: str) -> str:
    """Write a number of shots, such as ``"1 shot"`` or ``"zero-shot"``."""
    return {"0": "zero-shot", "1": "1 shot", "full": "full"}.get(shots, f"{shots} shots")


def _gallery(run: Any, pictures: list[Pictures]) -> Gallery:  # noqa: ANN401
    present = {panel.name for entry in pictures for panel in entry.panels}
    columns = [name for name in NAMES if name in present]
    strips = [
        Strip(
            entry.rank,
            f"{entry.measure} {100 * entry.quality:.1f} %"
            + ("" if entry.measure == "score" else f", score {entry.score:.3f}"),
            [[_picture(entry, panel) for panel in entry.panels if panel.name == name] for name in columns],
        )
        for entry in pictures
    ]
    return Gallery(run, [NAMES[name] for name in columns], strips)


def _picture(entry: Pictures, panel: Panel) -> Picture:
    label = panel.path if panel.low is None else f"{panel.low:.2g} to {panel.high:.2g}"
    return Picture(_source(panel), f"{entry.rank} image: {NAMES[panel.name]} {panel.path}".strip(), label)


def _source(panel: Panel) -> str:
    return f"data:{MIME_TYPES[Path(panel.file).suffix]};base64,{b64encode(panel.content).decode()}"
