# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the files of a sweep's report into the folder of its table."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.files.atomic import write_atomically

from .averages import Comparison
from .csv_files import averages, categories, write_csv
from .facts import gather_facts
from .grids import category_grid, data_set_grid, main_grids
from .paper_figures import display_name
from .pictures import Gallery, read_galleries
from .plots import category_plot, cost_plot, shots_plot
from .runs import find_table, read_runs
from .templates import DataSection, to_markdown, to_page


def write_report(results: Path) -> list[Path]:
    """Write the report of a sweep into the folder of its table, replacing an earlier report.

    Args:
        results: Folder of the sweep, or its ``runs.csv``.

    Returns:
        Paths of the files written: ``report.html``, ``report.md``, ``averages.csv`` and ``categories.csv``.

    Raises:
        FileNotFoundError: If there is no table.
        ValueError: If the file is not a table of runs, or has no rows.
    """
    require_types(write_report, locals())
    runs = read_runs(find_table(results))
    comparison = Comparison(runs.frame)
    facts, main = gather_facts(runs, comparison), main_grids(comparison)
    galleries, problems = read_galleries(runs)
    sections = [_section(comparison, name, galleries) for name in comparison.data_sets]
    plots = [plot for plot in (cost_plot(comparison), shots_plot(comparison)) if plot]
    folder = runs.path.parent
    writers: dict[str, Callable[[Path], None]] = {
        "report.html": partial(_write_text, to_page(facts, main, plots, sections, problems)),
        "report.md": partial(_write_text, to_markdown(facts, main, sections)),
        "averages.csv": partial(write_csv, averages(comparison)),
        "categories.csv": partial(write_csv, categories(comparison)),
    }
    for name, write in writers.items():
        write_atomically(folder / name, write)
    return [folder / name for name in writers]


def _section(comparison: Comparison, data_set: str, galleries: Sequence[Gallery]) -> DataSection:
    names = comparison.categories(data_set)
    return DataSection(
        display_name(data_set),
        data_set_grid(comparison, data_set),
        category_plot(comparison, data_set),
        [category_grid(comparison, data_set, name) for name in names] if len(names) > 1 else [],
        [gallery for gallery in galleries if gallery.run.data_set == data_set],
    )


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")  # file names need not be UTF-8
