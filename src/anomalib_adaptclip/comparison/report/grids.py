# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Builds the tables of the report, for all its formats: a row for each number of shots and model."""

from collections.abc import Iterable, Sequence
from math import isnan, nan
from typing import Any, NamedTuple

import pandas as pd

from anomalib_adaptclip.comparison.evaluation import METRICS

from .averages import Comparison, Entry, columns_of
from .paper_figures import AVERAGE, TABLES, display_name
from .runs import ENTRY

SEEN = "seen in training"
MINUS = "\N{MINUS SIGN}"
TITLES = {
    "image_AUROC": "Images, AUROC",
    "image_AP": "Images, AP",
    "image_F1Max": "Images, F1Max",
    "pixel_AUROC": "Pixels, AUROC",
    "pixel_AP": "Pixels, AP (AUPR)",
    "pixel_F1Max": "Pixels, F1Max",
    "pixel_AUPRO": "Pixels, AUPRO",
}


class Cell(NamedTuple):
    """A figure as text.

    Attributes:
        ours: Our figure, such as ``"94.5 ± 0.9"``, empty if it is undefined.
        paper: The paper's figure, empty if there is none.
        difference: Our figure minus the paper's, with its sign, empty if there is none.
        note: Remark that the figure is incomplete, such as ``"14 of 15"``, or that its data was seen in training.
        best: Whether the figure is the best of its column and number of shots.
    """

    ours: str = ""
    paper: str = ""
    difference: str = ""
    note: str = ""
    best: bool = False


class Line(NamedTuple):
    """A row of a table.

    Attributes:
        entry: Model and number of shots.
        cells: Figures, one for each column.
    """

    entry: Entry
    cells: list[Cell]


class Grid(NamedTuple):
    """A table of the report.

    Attributes:
        title: Title that says what the table shows.
        heads: Headings of the columns, without those of the shots and the model.
        groups: Name and number of columns of each group of headings, empty if there are no groups.
        lines: Rows of the table.
    """

    title: str
    heads: list[str]
    groups: list[tuple[str, int]]
    lines: list[Line]


def main_grids(comparison: Comparison) -> list[Grid]:
    """Build a table of data sets for each metric, the paper's metrics first. Metrics without figures are left out."""
    order = [*TABLES, *(metric for metric in METRICS if metric not in TABLES)]
    grids = [_main_grid(comparison, metric) for metric in order if metric in comparison.beside_paper]
    return [grid for grid in grids if any(cell.ours for line in grid.lines for cell in line.cells)]


def _main_grid(comparison: Comparison, metric: str) -> Grid:
    figures = comparison.beside_paper[metric]
    groups = [(group.name or "others", len(columns_of(group))) for group in comparison.groups(metric)]
    labels = [label for group in comparison.groups(metric) for label in columns_of(group)]
    heads = ["Average" if label.startswith(AVERAGE) else display_name(label) for label in labels]
    title = TITLES[metric]
    if figures.paper.notna().any():
        title += f", and the paper's Table {TABLES[metric]}"
    named = groups if len(groups) > 1 or groups[0][0] != "others" else []
    return Grid(title, heads, named, _lines(figures, labels, comparison.entries))


def data_set_grid(comparison: Comparison, data_set: str) -> Grid:
    """Build the table of a data set's averages, with a column for each metric."""
    figures = comparison.averages.xs(data_set, level="data_set")
    title = f"{display_name(data_set)}, average over categories"
    return Grid(title, [*TITLES.values()], [], _lines(figures, TITLES, comparison.entries_on(data_set)))


def category_grid(comparison: Comparison, data_set: str, category: str) -> Grid:
    """Build the table of a category, with a column for each metric."""
    figures = comparison.by_category.loc[data_set, category].reorder_levels(["metric", *ENTRY])
    title = f"{display_name(data_set)}, {category}"
    return Grid(title, [*TITLES.values()], [], _lines(figures, TITLES, comparison.entries_on(data_set)))


def _lines(figures: pd.DataFrame, columns: Iterable[str], entries: Sequence[Entry]) -> list[Line]:
    """Build the rows of a table from figures by column, shots and model."""
    figures = figures.assign(best=_best(figures))
    cells = dict(zip(figures.index, map(_cell, figures.itertuples()), strict=True))
    return [Line(entry, [cells.get((column, *entry), Cell()) for column in columns]) for entry in entries]


def _best(figures: pd.DataFrame) -> pd.Series:
    """Mark the best comparable figures, as shown, of each column and number of shots with more than one such figure."""
    shown = figures["mean"].where(figures.comparable).map(lambda mean: round(mean, 1), na_action="ignore")
    rivals = shown.groupby([figures.index.get_level_values(0), figures.index.get_level_values("shots")])
    return (rivals.transform("count") > 1) & (shown == rivals.transform("max"))


def _cell(figure: Any) -> Cell:  # noqa: ANN401
    has_mean = not isnan(figure.mean)
    gap = getattr(figure, "difference", nan)
    notes = []
    if not figure.complete and (has_mean or not figure.finished):
        notes.append(f"{figure.found} of {figure.expected}")
    if figure.leakage and has_mean:
        notes.append(SEEN)
    return Cell(
        ours=with_deviation(figure.mean, figure.std),
        paper=with_deviation(getattr(figure, "paper", nan), getattr(figure, "paper_std", nan)),
        difference="" if isnan(gap) else f"{gap:+.1f}".replace("-", MINUS),
        note=", ".join(notes),
        best=figure.best,
    )


def with_deviation(mean: float, std: float) -> str:
    """Write a figure with one decimal, and its standard deviation if it is known. ``NaN`` gives an empty text."""
    if isnan(mean):
        return ""
    return f"{mean:.1f}" if isnan(std) else f"{mean:.1f} ± {std:.1f}"
