# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The report as one HTML page that needs nothing else: no network, no other file."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from anomalib_adaptclip.comparison.gallery_file import LEAST_RANGE

from .facts import LEGEND, PAPER, Facts
from .grids import Grid
from .pictures import Gallery
from .plots import Plot


class DataSection(NamedTuple):
    """What the page shows of a data set.

    Attributes:
        name: Of the data set.
        average: Table of its averages.
        plot: Bars of its categories, None where it has one.
        categories: Tables of its categories, none where it has one.
        galleries: Pictures of runs on it.
    """

    name: str
    average: Grid
    plot: Plot | None
    categories: Sequence[Grid]
    galleries: Sequence[Gallery]


def to_page(
    facts: Facts, main: Sequence[Grid], plots: Sequence[Plot], data_sets: Sequence[DataSection], problems: Sequence[str]
) -> str:
    """The page.

    Args:
        facts: What was run.
        main: Tables of data sets.
        plots: Of all data sets.
        data_sets: Of each what there is.
        problems: What is wrong with files of pictures.
    """
    folder = files(__package__)
    script = (folder / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=PackageLoader(__package__, ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html").render(
        facts=facts,
        main=main,
        plots=plots,
        data_sets=data_sets,
        with_pictures=[data for data in data_sets if data.galleries],
        problems=problems,
        has_paper=any(cell.paper for grid in main for line in grid.lines for cell in line.cells),
        least_range=LEAST_RANGE,
        legend=LEGEND,
        paper=PAPER,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
