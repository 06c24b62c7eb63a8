# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Renders the report as Markdown and as a self-contained HTML page, which needs no network and no other file."""

import re
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from anomalib_adaptclip.comparison.gallery_file import LEAST_RANGE
from anomalib_adaptclip.files.templates import templates_of

from .drawing import Plot
from .facts import LEGEND, PAPER, Facts
from .grids import Cell, Grid
from .pictures import Gallery, SideBySide


class DataSection(NamedTuple):
    """The section of the report on a data set.

    Attributes:
        name: Name of the data set.
        average: Table of its averages.
        plot: Bar plot of its categories, or None if it has just one.
        categories: Tables of its categories, empty if it has just one.
        curves: Plots of ROC and precision-recall curves, for each category that has them.
        galleries: Pictures of AdaptCLIP's runs on it.
        side_by_side: Pictures of all models on the same images, for each category that has them.
    """

    name: str
    average: Grid
    plot: Plot | None
    categories: Sequence[Grid]
    curves: Sequence[Plot]
    galleries: Sequence[Gallery]
    side_by_side: Sequence[SideBySide]

    @property
    def has_pictures(self) -> bool:
        """Whether there is any picture."""
        return bool(self.galleries or self.side_by_side)


def to_markdown(facts: Facts, main: Sequence[Grid], data_sets: Sequence[DataSection]) -> str:
    """Render the report as Markdown, without plots and pictures.

    Args:
        facts: Facts on what was run.
        main: Tables of all data sets, one for each metric.
        data_sets: Sections of the data sets.
    """
    return _render("report.md", main, facts=facts, data_sets=data_sets)


def to_page(
    facts: Facts, main: Sequence[Grid], plots: Sequence[Plot], data_sets: Sequence[DataSection], problems: Sequence[str]
) -> str:
    """Render the report as an HTML page.

    Args:
        facts: Facts on what was run.
        main: Tables of all data sets, one for each metric.
        plots: Plots over all data sets.
        data_sets: Sections of the data sets.
        problems: Messages about files of pictures or curves that cannot be read.
    """
    folder = files(__package__)
    script = (folder / "page.js").read_text(encoding="utf-8")
    return _render(
        "page.html",
        main,
        facts=facts,
        plots=plots,
        data_sets=data_sets,
        with_pictures=[data for data in data_sets if data.has_pictures],
        problems=problems,
        least_range=LEAST_RANGE,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )


def _render(template: str, main: Sequence[Grid], **values: Any) -> str:  # noqa: ANN401
    environment = templates_of(str(__package__))  # Markdown is escaped by the filter md
    environment.filters |= {"md": escape_markdown, "figure": _figure}
    has_paper = any(cell.paper for grid in main for line in grid.lines for cell in line.cells)
    return environment.get_template(template).render(
        main=main, has_paper=has_paper, legend=LEGEND, paper=PAPER, **values
    )


def escape_markdown(text: object) -> str:
    """Escape text so that Markdown shows it literally, on one line."""
    return re.sub(r"([\\`*_|<>\[\]#~&])", r"\\\1", " ".join(str(text).split()))


def _figure(cell: Cell) -> str:
    """Write a cell in Markdown."""
    ours = f"**{cell.ours}**" if cell.best else cell.ours
    paper = ", ".join(filter(None, (f"paper {cell.paper}" if cell.paper else "", cell.difference)))
    return " ".join(filter(None, (ours, f"[{cell.note}]" if cell.note else "", f"({paper})" if paper else "")))
