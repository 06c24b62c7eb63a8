# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Exports all averages as CSV: a row for each figure, in percent, with all digits."""

from pathlib import Path

import pandas as pd

from anomalib_adaptclip.comparison.evaluation import METRICS

from .averages import Comparison

FIGURE = ["metric", "mean", "std", "found", "expected"]
AVERAGES = ["data_set", "model", "shots", *FIGURE, "paper", "paper_std", "difference"]
CATEGORIES = ["data_set", "category", "model", "shots", *FIGURE]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # what the formulas of spreadsheets begin with


def averages(comparison: Comparison) -> pd.DataFrame:
    """Return the averages of data sets and of groups of data sets, whose names begin with ``AVG``."""
    return pd.concat(comparison.beside_paper, names=["metric"]).reset_index()[AVERAGES]


def categories(comparison: Comparison) -> pd.DataFrame:
    """Return the averages over the seeds of each category."""
    order = [
        (data_set, category, *entry, metric)
        for data_set in comparison.data_sets
        for category in comparison.categories(data_set)
        for entry in comparison.entries_on(data_set)
        for metric in METRICS
    ]
    return comparison.by_category.loc[order].reset_index()[CATEGORIES]


def write_csv(figures: pd.DataFrame, path: Path) -> None:
    """Write figures to a CSV file. A missing value is an empty cell.

    Names of models, data sets and categories that a spreadsheet would compute as a formula get an apostrophe before
    them.

    Args:
        figures: Figures with the columns to write.
        path: File to write.
    """
    figures = figures.apply(lambda column: column.map(_as_text))
    figures.to_csv(path, index=False, lineterminator="\r\n", encoding="utf-8", errors="surrogateescape")


def _as_text(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
