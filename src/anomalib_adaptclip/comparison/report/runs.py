# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Rows of a sweep's table, as a report takes them."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from anomalib_adaptclip.comparison.evaluation import METRICS
from anomalib_adaptclip.comparison.table import Row, read_table

TABLE = "runs.csv"


class Result(NamedTuple):
    """A run.

    Attributes:
        model: Name of the model.
        data_set: Name of the data set.
        category: Name of the category, empty where there are none.
        shots: ``"0"``, ``"1"``, ..., ``"full"``.
        seed: Of the draw of normal images.
        metrics: In [0, 1], by the names of ``METRICS``. None where undefined, or the run failed.
        error: Empty if there was none.
        seconds: Of the test, an image, without the first batch where there are others; None where unknown.
        model_spec: Class and arguments of the model.
        data_class: Name of the data module's class, without its packages.
        variant: What tells configurations apart that have the names above in common.
        row: The cells of the table.
    """

    model: str
    data_set: str
    category: str
    shots: str
    seed: str
    metrics: dict[str, float | None]
    error: str
    seconds: float | None
    model_spec: dict[str, Any]
    data_class: str
    variant: str
    row: Row

    @property
    def model_class(self) -> str:
        """Name of the model's class, without its packages."""
        return str(self.model_spec.get("class_path", "")).rpartition(".")[2]

    @property
    def leakage(self) -> bool:
        """Whether the model was trained on what it was tested on."""
        return self.row["leakage"] == "yes"

    @property
    def asked(self) -> list[str]:
        """Categories of the data set that the sweep asked for, none where the table does not tell."""
        return [str(name) for name in json.loads(self.row["categories"] or "[]")]


class Results(NamedTuple):
    """A table.

    Attributes:
        path: Of its file.
        runs: Those that count.
        superseded: Those of an earlier configuration of the same model, data set and number of shots.
    """

    path: Path
    runs: list[Result]
    superseded: list[Result]


def find_table(results: Path) -> Path:
    """Table of a sweep.

    Args:
        results: Folder of the sweep, or the table itself.

    Raises:
        FileNotFoundError: If there is no table.
    """
    table = results / TABLE if results.is_dir() else results
    if not table.is_file():
        msg = f"There is no table {table}. Name the folder that `compare` wrote, such as results/compare/smoke."
        raise FileNotFoundError(msg)
    return table


def read_results(table: Path) -> Results:
    """Read a table.

    Where a model was run on a data set in more than one configuration, the one that was stored last counts.

    Args:
        table: CSV file.

    Raises:
        ValueError: If it is no table of runs, or has no rows.
    """
    rows = read_table(table)
    if not rows:
        msg = f"{table} has no runs yet. Run `anomalib-adaptclip compare` first."
        raise ValueError(msg)
    try:
        results = [_result(row) for row in rows]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        msg = f"{table} is no table of runs: {error}. Move it away, or run `anomalib-adaptclip compare` again."
        raise ValueError(msg) from error
    last = {_place(result): result.variant for result in results}
    return Results(
        table,
        [result for result in results if result.variant == last[_place(result)]],
        [result for result in results if result.variant != last[_place(result)]],
    )


def _place(result: Result) -> tuple[str, str, str]:
    return result.model, result.data_set, result.shots


def _result(row: Row) -> Result:
    parts: dict[str, Any] = json.loads(row["configuration"])
    data_spec, model_spec = dict(parts.pop("data_spec")), parts["model_spec"]
    arguments = {name: value for name, value in data_spec.get("init_args", {}).items() if name != "category"}
    names = ("model", "data_set", "category", "shots", "seed")
    variant = {name: value for name, value in parts.items() if name not in names}
    seconds, images = _number(row, "test_seconds"), _number(row, "images")
    whole = seconds / images if seconds is not None and images else None
    later = _number(row, "image_seconds")
    return Result(
        **{name: row[name] for name in names},
        metrics=dict.fromkeys(METRICS) if row["error"] else {name: _metric(row, name) for name in METRICS},
        error=row["error"],
        seconds=whole if later is None else later,
        model_spec=model_spec,
        data_class=str(data_spec.get("class_path", "")).rpartition(".")[2],
        variant=json.dumps([variant, data_spec | {"init_args": arguments}], sort_keys=True),
        row=row,
    )


def _metric(row: Row, name: str) -> float | None:
    value = _number(row, name)
    if value is not None and value > 1:
        msg = f"{name} is {row[name]!r}, not a number from 0 to 1"
        raise ValueError(msg)
    return value


def _number(row: Row, name: str) -> float | None:
    """A cell, None if it is empty."""
    if not row[name]:
        return None
    value = float(row[name]) if row[name].strip()[:1].isdigit() else math.nan
    if not math.isfinite(value):
        msg = f"{name} is {row[name]!r}, not a number from 0"
        raise ValueError(msg)
    return value


def distinct(values: Iterable[str]) -> list[str]:
    """Each value once, in order of appearance."""
    return list(dict.fromkeys(values))
