# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads the runs of a sweep's table for its report."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from anomalib_adaptclip.comparison.evaluation import METRICS
from anomalib_adaptclip.comparison.run_row import RunRow
from anomalib_adaptclip.comparison.run_table import RunTable

TABLE = "runs.csv"
ENTRY = ["shots", "model"]  # columns that identify a row of the report's tables
PLACE = [*ENTRY, "data_set"]  # columns that identify runs of a single configuration
_NUMBERS = [*METRICS, "images", "fit_seconds", "test_seconds", "image_seconds", "peak_memory_mb"]


class Runs(NamedTuple):
    """The runs of a table.

    Attributes:
        path: File of the table.
        frame: A row for each run of the latest configurations: the columns of :class:`RunRow`, with ``NaN`` for
            missing numbers, and these:

            - ``seconds``, the duration of the test per image, without the first batch if there are others,
            - ``model_spec``, the class and arguments of the model,
            - ``model_class`` and ``data_class``, the names of the classes without their packages,
            - ``variant``, the remaining settings, which distinguish configurations of the same model, data set and
              shots,
            - ``asked``, the categories that the sweep asks for.
        superseded: Number of rows left out, which belong to earlier configurations of the same model, data set and
            number of shots.
    """

    path: Path
    frame: pd.DataFrame
    superseded: int


def find_table(results: Path) -> Path:
    """Find the table of a sweep.

    Args:
        results: Folder of the sweep, or the table itself.

    Returns:
        Path of the table.

    Raises:
        FileNotFoundError: If there is no table.
    """
    table = results / TABLE if results.is_dir() else results
    if not table.is_file():
        msg = f"There is no table {table}. Name the folder that `compare` wrote, such as results/compare/smoke."
        raise FileNotFoundError(msg)
    return table


def read_runs(table: Path) -> Runs:
    """Read a table.

    If a model was run on a data set in more than one configuration, only the one that was stored last is kept.

    Args:
        table: CSV file of the sweep.

    Returns:
        The runs of the table.

    Raises:
        ValueError: If the file is not a table of runs, or has no rows.
    """
    numbered = RunTable(table, RunRow).numbered_rows()
    if not numbered:
        msg = f"{table} has no runs yet. Run `anomalib-adaptclip compare` first."
        raise ValueError(msg)
    frame = pd.DataFrame([row for _, row in numbered], dtype=object)
    frame[_NUMBERS] = frame[_NUMBERS].astype(float)
    configurations, frame["asked"] = zip(*(_read_cells(table, line, row) for line, row in numbered), strict=True)
    frame = frame.join(pd.DataFrame(configurations, dtype=object))
    frame.loc[frame.error != "", list(METRICS)] = float("nan")
    frame["seconds"] = frame.image_seconds.fillna(frame.test_seconds / frame.images.where(frame.images > 0))
    last = frame.groupby(PLACE).variant.transform("last")
    counts = frame.variant == last
    return Runs(table, frame[counts].reset_index(drop=True), int((~counts).sum()))


def _read_cells(table: Path, line: int, row: RunRow) -> tuple[dict[str, Any], list[str]]:
    """Read the cells of a row that are JSON: the configuration, and the categories that the sweep asks for."""
    try:
        asked = json.loads(row.categories or "[]")
        if not (isinstance(asked, list) and all(isinstance(name, str) for name in asked)):
            msg = f"categories is {row.categories[:100]!r}, not a list of names"
            raise ValueError(msg)
        return _read_configuration(row.configuration), asked
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        msg = (
            f"{table} is not a table of runs: {error} in its configuration or categories (line {line}). Move it away, "
            "or run `anomalib-adaptclip compare` again."
        )
        raise ValueError(msg) from error


def _read_configuration(text: str) -> dict[str, Any]:
    parts: dict[str, Any] = json.loads(text)
    data_spec, model_spec = dict(parts.pop("data_spec")), parts["model_spec"]
    arguments = {name: value for name, value in data_spec.get("init_args", {}).items() if name != "category"}
    names = ("model", "data_set", "category", "shots", "seed")
    variant = {name: value for name, value in parts.items() if name not in names}
    return {
        "model_spec": model_spec,
        "model_class": str(model_spec.get("class_path", "")).rpartition(".")[2],
        "data_class": str(data_spec.get("class_path", "")).rpartition(".")[2],
        "variant": json.dumps([variant, data_spec | {"init_args": arguments}], sort_keys=True),
    }
