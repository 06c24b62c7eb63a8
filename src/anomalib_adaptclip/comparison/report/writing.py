# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the files of a sweep's report into the folder of its table."""

import re
from collections.abc import Iterable
from functools import partial
from operator import methodcaller
from pathlib import Path

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.files.atomic import write_atomically

from .averages import Comparison
from .csv_files import averages, categories, write_csv
from .curve_plots import CurvePlots
from .drawing import Plot
from .facts import gather_facts
from .grids import category_grid, data_set_grid, main_grids
from .paper_figures import display_name
from .pictures import AllPictures, read_pictures
from .plots import category_plot, cost_plot, shots_plot
from .runs import find_table, read_runs
from .templates import DataSection, to_markdown, to_page

PLOTS = "plots"  # folder of the plots


def write_report(results: Path) -> list[Path]:
    """Write the report of a sweep into the folder of its table, replacing an earlier report.

    Args:
        results: Folder of the sweep, or its ``runs.csv``.

    Returns:
        Paths of what was written: ``report.html``, ``report.md``, ``averages.csv`` and ``categories.csv``, and the
        folder ``plots`` with every plot as SVG and PNG, if there is any.

    Raises:
        FileNotFoundError: If there is no table.
        ValueError: If the file is not a table of runs, or has no rows.
    """
    require_types(write_report, locals())
    runs = read_runs(find_table(results))
    comparison = Comparison(runs.frame)
    facts, main = gather_facts(runs, comparison), main_grids(comparison)
    pictures, curves = read_pictures(runs), CurvePlots(runs, comparison)
    sections = [_section(comparison, name, pictures, curves) for name in comparison.data_sets]
    plots = [plot for plot in (cost_plot(comparison), shots_plot(comparison)) if plot]
    folder = runs.path.parent
    writers = {
        "report.html": partial(_write_text, to_page(facts, main, plots, sections, pictures.problems + curves.problems)),
        "report.md": partial(_write_text, to_markdown(facts, main, sections)),
        "averages.csv": partial(write_csv, averages(comparison)),
        "categories.csv": partial(write_csv, categories(comparison)),
    }
    for name, write in writers.items():
        write_atomically(folder / name, write)
    drawn = [*plots, *(plot for data in sections for plot in (data.plot, *data.curves) if plot)]
    _write_plots(folder / PLOTS, drawn)
    return [folder / name for name in (*writers, *([PLOTS] if drawn else []))]


def _section(comparison: Comparison, data_set: str, pictures: AllPictures, curves: CurvePlots) -> DataSection:
    names = comparison.categories(data_set)
    return DataSection(
        display_name(data_set),
        data_set_grid(comparison, data_set),
        category_plot(comparison, data_set),
        [category_grid(comparison, data_set, name) for name in names] if len(names) > 1 else [],
        [plot for name in names for plot in curves.of_category(data_set, name)],
        [gallery for gallery in pictures.galleries if gallery.run.data_set == data_set],
        [images for images in pictures.side_by_side if images.data_set == data_set],
    )


def _write_plots(folder: Path, plots: Iterable[Plot]) -> None:
    taken: set[str] = set()
    for plot in plots:
        name = re.sub(r"[^A-Za-z0-9-]+", "_", plot.name)[:100]
        while name.lower() in taken:  # names that differ in signs, or in upper and lower case alone
            name += "-2"
        taken.add(name.lower())
        write_atomically(folder / f"{name}.svg", partial(_write_text, plot.svg_file))
        write_atomically(folder / f"{name}.png", methodcaller("write_bytes", plot.png))


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")  # file names need not be UTF-8
