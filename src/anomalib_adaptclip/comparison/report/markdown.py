# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The report as Markdown, without plots and pictures."""

import re
from collections.abc import Iterator, Sequence

from .facts import LEGEND, PAPER, Facts
from .grids import Cell, Grid


def to_markdown(facts: Facts, main: Sequence[Grid], data_sets: Sequence[tuple[Grid, Sequence[Grid]]]) -> str:
    """The report.

    Args:
        facts: What was run.
        main: Tables of data sets.
        data_sets: For each the table of its averages, and those of its categories.
    """
    return "\n".join(_lines(facts, main, data_sets)) + "\n"


def _lines(facts: Facts, main: Sequence[Grid], data_sets: Sequence[tuple[Grid, Sequence[Grid]]]) -> Iterator[str]:
    yield f"# Comparison {escape(facts.name)}"
    yield ""
    yield from _summary(facts)
    if facts.finished:
        yield from ["", "## Averages", "", LEGEND]
        if any(cell.paper for grid in main for line in grid.lines for cell in line.cells):
            yield from ["", PAPER.replace("Below", "Behind")]
        for note in facts.notes:
            yield from ["", escape(note)]
        for grid in main:
            yield from _section(grid, 3)
    yield from _costs(facts)
    yield from _failures(facts)
    if facts.finished:
        yield from ["", "## Data sets and categories"]
        for average, grids in data_sets:
            yield from _section(average, 3)
            for grid in grids:
                yield from _section(grid, 4)


def _summary(facts: Facts) -> Iterator[str]:
    if not facts.finished:
        yield from ["**No run has finished: there are no figures.**", ""]
    if facts.leakage:
        yield from [f"**{escape(facts.leakage)}**", ""]
    yield f"- {facts.finished} runs finished, {len(facts.failed)} failed."
    if facts.superseded:
        yield f"- {facts.superseded} runs of earlier configurations are left out."
    yield f"- First run through {escape(facts.began)}, last {escape(facts.ended)}."
    yield f"- Devices: {escape(', '.join(facts.devices)) or 'unknown'}."
    for versions in facts.versions:
        yield f"- Versions: {escape(versions)}."
    yield ""
    models = [[model.name, model.model_class, model.arguments, model.adapters] for model in facts.models]
    yield from _table(["Model", "Class", "Arguments", "Adapters"], models)
    yield ""
    yield from _table(["Data set", "Categories", "Seeds"], [list(fact) for fact in facts.data_sets])


def _costs(facts: Facts) -> Iterator[str]:
    if facts.finished:
        yield from ["", "## Cost", ""]
        heads = ["Model", "Shots", "Seconds per image", "Seconds to fit", "Peak memory, MiB"]
        yield from _table(
            heads,
            [[cost.entry.model, cost.entry.shots, cost.seconds, cost.fit, cost.memory] for cost in facts.costs],
            2,
        )


def _failures(facts: Facts) -> Iterator[str]:
    if facts.failed:
        yield from ["", "## Failed runs", ""]
        heads = ["Model", "Data set", "Category", "Shots", "Seed", "Error"]
        rows = [[run.model, run.data_set, run.category, run.shots, run.seed, run.error] for run in facts.failed]
        yield from _table(heads, rows)


def _section(grid: Grid, level: int) -> Iterator[str]:
    yield from ["", f"{'#' * level} {escape(grid.title)}", ""]
    rows = [[*line.entry, *map(_text, line.cells)] for line in grid.lines]
    yield from _table(["Shots", "Model", *grid.heads], rows, 2, escaped=True)


def _text(cell: Cell) -> str:
    ours = f"**{cell.ours}**" if cell.best else cell.ours
    paper = ", ".join(filter(None, (f"paper {cell.paper}" if cell.paper else "", cell.difference)))
    return " ".join(filter(None, (ours, f"[{cell.note}]" if cell.note else "", f"({paper})" if paper else "")))


def _table(
    heads: Sequence[str], rows: Sequence[Sequence[str]], left: int | None = None, escaped: bool = False
) -> Iterator[str]:
    """A table whose first columns are aligned left and the others right; all left without a number."""
    count = len(heads) if left is None else left
    yield _row([escape(head) for head in heads])
    yield _row(["---"] * count + ["---:"] * (len(heads) - count))
    for row in rows:
        yield _row([cell if escaped and place >= count else escape(cell) for place, cell in enumerate(row)])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escape(text: str) -> str:
    """Text that means itself in Markdown, on one line."""
    return re.sub(r"([\\`*_|<>\[\]#~&])", r"\\\1", " ".join(text.split()))
