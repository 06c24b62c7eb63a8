# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The figures as CSV: a row for each figure, in percent, with all digits."""

import csv
from collections.abc import Iterator
from pathlib import Path

from anomalib_adaptclip.comparison.evaluation import METRICS

from .averages import Comparison, Figure, difference

AVERAGES = (
    "data_set", "model", "shots", "metric", "mean", "std", "found", "expected", "paper", "paper_std", "difference",
)  # fmt: skip
CATEGORIES = ("data_set", "category", "model", "shots", "metric", "mean", "std", "found", "expected")

Line = dict[str, object]


def averages(comparison: Comparison) -> Iterator[Line]:
    """Means over the categories of each data set, and over groups of data sets, whose names begin with ``AVG``."""
    for metric in METRICS:
        for group in comparison.groups(metric):
            for entry in comparison.entries:
                columns = [(name, name, comparison.average(entry, name, metric)) for name in group.data_sets]
                if len(group.data_sets) > 1:
                    mean = comparison.group_average(entry, group, metric)
                    columns.append((f"AVG {group.name or 'others'}", group.name, mean))
                for label, name, figure in columns:
                    if figure.expected:
                        paper = comparison.published(entry, name, metric)
                        yield (
                            entry._asdict()
                            | _cells(label, metric, figure)
                            | {
                                "paper": paper.value if paper else None,
                                "paper_std": paper.std if paper else None,
                                "difference": difference(figure, paper),
                            }
                        )


def categories(comparison: Comparison) -> Iterator[Line]:
    """Means over the seeds of each category."""
    for data_set in comparison.data_sets:
        for category in comparison.categories(data_set):
            for entry in comparison.entries:
                for metric in METRICS:
                    figure = comparison.category(entry, data_set, category, metric)
                    if figure.expected:
                        yield entry._asdict() | {"category": category} | _cells(data_set, metric, figure)


def _cells(data_set: str, metric: str, figure: Figure) -> Line:
    return {
        "data_set": data_set,
        "metric": metric,
        "mean": figure.mean,
        "std": figure.std,
        "found": figure.found,
        "expected": figure.expected,
    }


def write_lines(path: Path, columns: tuple[str, ...], lines: Iterator[Line]) -> None:
    """Write a CSV file.

    Args:
        path: File.
        columns: Its head.
        lines: Cells by column. Those that are missing, or None, are empty.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(lines)
