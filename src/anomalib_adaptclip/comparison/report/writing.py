# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the report of a sweep beside its table."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from anomalib_adaptclip.files.atomic import write_atomically

from . import csv_files
from .averages import Comparison
from .facts import gather_facts
from .grids import category_grid, data_set_grid, main_grids
from .markdown import to_markdown
from .page import DataSection, to_page
from .pictures import read_galleries
from .plots import category_plot, cost_plot, shots_plot
from .published import display_name
from .runs import find_table, read_results

if TYPE_CHECKING:
    from collections.abc import Callable


def write_report(results: Path) -> list[Path]:
    """Write the report of a sweep beside its table, in place of an earlier one.

    Args:
        results: Folder of the sweep, or its ``runs.csv``.

    Returns:
        ``report.html``, ``report.md``, and ``averages.csv`` and ``categories.csv`` with the figures.

    Raises:
        FileNotFoundError: If there is no table.
        ValueError: If it is no table of runs, or has no rows.
    """
    found = read_results(find_table(results))
    comparison = Comparison(found.runs)
    facts, main = gather_facts(found, comparison), main_grids(comparison)
    galleries, problems = read_galleries(found)
    sections = []
    for name in comparison.data_sets:
        categories = comparison.categories(name)
        sections.append(
            DataSection(
                display_name(name),
                data_set_grid(comparison, name),
                category_plot(comparison, name),
                [category_grid(comparison, name, category) for category in categories] if len(categories) > 1 else [],
                [gallery for gallery in galleries if gallery.run.data_set == name],
            )
        )
    plots = [plot for plot in (cost_plot(comparison), shots_plot(comparison)) if plot]
    markdown = to_markdown(facts, main, [(section.average, section.categories) for section in sections])
    folder = found.path.parent
    writers: dict[str, Callable[[Path], None]] = {
        "report.html": partial(_write_text, to_page(facts, main, plots, sections, problems)),
        "report.md": partial(_write_text, markdown),
        "averages.csv": lambda draft: csv_files.write_lines(draft, csv_files.AVERAGES, csv_files.averages(comparison)),
        "categories.csv": lambda draft: csv_files.write_lines(
            draft, csv_files.CATEGORIES, csv_files.categories(comparison)
        ),
    }
    for name, write in writers.items():
        write_atomically(folder / name, write)
    return [folder / name for name in writers]


def _write_text(text: str, path: Path) -> None:
    path.write_text(text, encoding="utf-8")
