# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tables as the report shows them, whatever its format: a row for each number of shots and model."""

from collections.abc import Sequence
from typing import NamedTuple

from anomalib_adaptclip.comparison.evaluation import METRICS

from .averages import Comparison, Entry, Figure, difference
from .published import TABLES, Published, display_name

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


class _Column(NamedTuple):
    head: str
    figures: list[Figure]
    papers: list[Published | None]


def main_grids(comparison: Comparison) -> list[Grid]:
    """Tables of data sets, one a metric, those that the paper has first. Metrics without any figure are left out."""
    order = [*TABLES, *(metric for metric in METRICS if metric not in TABLES)]
    grids = [_main_grid(comparison, metric) for metric in order]
    return [grid for grid in grids if _has_content(grid)]


def _main_grid(comparison: Comparison, metric: str) -> Grid:
    entries = comparison.entries
    groups: list[tuple[str, int]] = []
    columns: list[_Column] = []
    for group in comparison.groups(metric):
        before = len(columns)
        for name in group.data_sets:
            figures = [comparison.average(entry, name, metric) for entry in entries]
            papers = [comparison.published(entry, name, metric) for entry in entries]
            columns.append(_Column(display_name(name), figures, papers))
        if len(group.data_sets) > 1:
            figures = [comparison.group_average(entry, group, metric) for entry in entries]
            papers = [comparison.published(entry, group.name, metric) for entry in entries]
            columns.append(_Column("Average", figures, papers))
        groups.append((group.name or "others", len(columns) - before))
    title = TITLES[metric]
    if any(paper for column in columns for paper in column.papers):
        title += f", and the paper's Table {TABLES[metric]}"
    return _grid(title, groups if len(groups) > 1 or groups[0][0] != "others" else [], columns, entries)


def data_set_grid(comparison: Comparison, data_set: str) -> Grid:
    """Averages of a data set, a column a metric."""
    entries = [entry for entry in comparison.entries if comparison.run_of(entry, data_set)]
    columns = [
        _Column(title, [comparison.average(entry, data_set, metric) for entry in entries], [None] * len(entries))
        for metric, title in TITLES.items()
    ]
    return _grid(f"{display_name(data_set)}, mean over categories", [], columns, entries)


def category_grid(comparison: Comparison, data_set: str, category: str) -> Grid:
    """Figures of a category, a column a metric."""
    entries = [entry for entry in comparison.entries if comparison.run_of(entry, data_set)]
    columns = [
        _Column(
            title, [comparison.category(entry, data_set, category, metric) for entry in entries], [None] * len(entries)
        )
        for metric, title in TITLES.items()
    ]
    return _grid(f"{display_name(data_set)}, {category}", [], columns, entries)


def _grid(title: str, groups: list[tuple[str, int]], columns: Sequence[_Column], entries: Sequence[Entry]) -> Grid:
    best = [_best(column.figures, entries) for column in columns]
    lines = [
        Line(
            entry,
            [
                _cell(column.figures[row], column.papers[row], row in rows)
                for column, rows in zip(columns, best, strict=True)
            ],
        )
        for row, entry in enumerate(entries)
    ]
    return Grid(title, [column.head for column in columns], groups, lines)


def _best(figures: Sequence[Figure], entries: Sequence[Entry]) -> set[int]:
    """Rows with the best comparable figure of their number of shots, as shown; none where there is no choice."""
    rows: dict[str, dict[int, float]] = {}
    for row, (figure, entry) in enumerate(zip(figures, entries, strict=True)):
        if figure.mean is not None and figure.comparable:
            rows.setdefault(entry.shots, {})[row] = round(figure.mean, 1)
    return {
        row for block in rows.values() if len(block) > 1 for row, mean in block.items() if mean == max(block.values())
    }


def _cell(figure: Figure, paper: Published | None, best: bool) -> Cell:
    gap = difference(figure, paper)
    incomplete = figure.expected > 0 and not figure.complete and (figure.mean is not None or not figure.finished)
    notes = [f"{figure.found} of {figure.expected}"] if incomplete else []
    notes += [SEEN] if figure.leakage and figure.mean is not None else []
    return Cell(
        ours=with_deviation(figure.mean, figure.std),
        paper=with_deviation(paper.value, paper.std) if paper else "",
        difference="" if gap is None else f"{gap:+.1f}".replace("-", MINUS),
        note=", ".join(notes),
        best=best,
    )


def with_deviation(mean: float | None, std: float | None) -> str:
    """A figure with one decimal, and its deviation where there is one."""
    if mean is None:
        return ""
    return f"{mean:.1f}" if std is None else f"{mean:.1f} ± {std:.1f}"


def _has_content(grid: Grid) -> bool:
    return any(cell.ours for line in grid.lines for cell in line.cells)
