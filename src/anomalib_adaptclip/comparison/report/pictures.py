# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The gallery: pictures of runs, ready for a page."""

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
    """A picture of a page.

    Attributes:
        source: Its data as an address.
        text: What it shows, for those who do not see it.
        label: What stands below it.
    """

    source: str
    text: str
    label: str


class Strip(NamedTuple):
    """A row of the gallery: an image, and in each column pictures, or none."""

    head: str
    details: str
    cells: list[list[Picture]]


class Gallery(NamedTuple):
    """Pictures of a run.

    Attributes:
        run: The run, a row of the frame of runs.
        heads: Of the columns.
        strips: Best, median and worst.
    """

    run: Any
    heads: list[str]
    strips: list[Strip]


def read_galleries(runs: Runs) -> tuple[list[Gallery], list[str]]:
    """Pictures that stand beside a table.

    Args:
        runs: Of the table.

    Returns:
        One gallery for each run with pictures, and what is wrong with other files.
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
