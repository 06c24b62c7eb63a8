# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tables as the report shows them, whatever its format: a row for each number of shots and model."""

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
        ours: Such as ``"94.5 ± 0.9"``, empty where undefined.
        paper: The paper's.
        difference: Ours minus the paper's, with its sign.
        note: What is missing, such as ``"14 of 15"``, and whether it was seen in training.
        best: Whether it is the best of its column and number of shots.
    """

    ours: str = ""
    paper: str = ""
    difference: str = ""
    note: str = ""
    best: bool = False


class Line(NamedTuple):
    """A row of a table: a model with a number of shots."""

    entry: Entry
    cells: list[Cell]


class Grid(NamedTuple):
    """A table.

    Attributes:
        title: What it shows.
        heads: Of its columns, those of the models and shots left out.
        groups: Name and number of columns of each group of heads, none without groups.
        lines: Rows.
    """

    title: str
    heads: list[str]
    groups: list[tuple[str, int]]
    lines: list[Line]


def main_grids(comparison: Comparison) -> list[Grid]:
    """Tables of data sets, one a metric, those that the paper has first. Metrics without any figure are left out."""
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
    """Averages of a data set, a column a metric."""
    figures = comparison.averages.xs(data_set, level="data_set")
    title = f"{display_name(data_set)}, mean over categories"
    return Grid(title, [*TITLES.values()], [], _lines(figures, TITLES, comparison.entries_on(data_set)))


def category_grid(comparison: Comparison, data_set: str, category: str) -> Grid:
    """Figures of a category, a column a metric."""
    figures = comparison.by_category.loc[data_set, category].reorder_levels(["metric", *ENTRY])
    title = f"{display_name(data_set)}, {category}"
    return Grid(title, [*TITLES.values()], [], _lines(figures, TITLES, comparison.entries_on(data_set)))


def _lines(figures: pd.DataFrame, columns: Iterable[str], entries: Sequence[Entry]) -> list[Line]:
    """Rows of a table out of figures by column, shots and model."""
    figures = figures.assign(best=_best(figures))
    cells = dict(zip(figures.index, map(_cell, figures.itertuples()), strict=True))
    return [Line(entry, [cells.get((column, *entry), Cell()) for column in columns]) for entry in entries]


def _best(figures: pd.DataFrame) -> pd.Series:
    """Which figures are the best comparable ones of a column and number of shots, as shown, where there is a choice."""
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
    """A figure with one decimal, and its deviation where there is one; empty where it is ``NaN``."""
    if isnan(mean):
        return ""
    return f"{mean:.1f}" if isnan(std) else f"{mean:.1f} ± {std:.1f}"
