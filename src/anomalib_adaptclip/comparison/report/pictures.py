# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Prepares the pictures of runs for the gallery of the report's page."""

import logging
from base64 import b64encode
from pathlib import Path
from typing import Any, NamedTuple

from anomalib_adaptclip.comparison.gallery_file import MIME_TYPES, Panel, Pictures, gallery_path, unpack

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


def read_galleries(runs: Runs) -> tuple[list[Gallery], list[str]]:
    """Read the pictures that are stored beside a table of runs.

    Args:
        runs: Runs of the table.

    Returns:
        One gallery for each run with pictures, and a message for each file that cannot be read.
    """
    galleries, problems = [], []
    for run in runs.frame.itertuples():
        path = gallery_path(runs.path, run)
        if not run.error and path.is_file():
            try:
                galleries.append(_gallery(run, unpack(path)))
            except ValueError as error:
                logger.warning("%s", error)
                problems.append(str(error))
    return galleries, problems


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
    source = f"data:{MIME_TYPES[Path(panel.file).suffix]};base64,{b64encode(panel.content).decode()}"
    label = panel.path if panel.low is None else f"{panel.low:.2g} to {panel.high:.2g}"
    return Picture(source, f"{entry.rank} image: {NAMES[panel.name]} {panel.path}".strip(), label)
