# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Rows of predictions in files: CSV and Parquet."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from anomalib_adaptclip.files.csv_rows import open_csv, write_rows

from .prediction_row import PredictionRow

_ROWS_AT_A_TIME = 1024


def cells(row: PredictionRow) -> Sequence[object]:
    """Return the cells of a row in CSV."""
    return row.path, row.score, row.label, json.dumps(row.boxes)


def write_csv(path: Path, rows: Iterable[PredictionRow]) -> None:
    """Write a table as CSV."""
    with open_csv(path, "w") as file:
        write_rows(file, [PredictionRow._fields])
        write_rows(file, map(cells, rows))


def read_csv(path: Path) -> Iterator[PredictionRow]:
    """Read a table in CSV, one row at a time.

    Raises:
        ValueError: If it is no table of predictions; file and line are named.
    """
    with open_csv(path) as file:
        rows = csv.reader(file)
        with _telling_place(path, lambda: f", line {rows.line_num}"):
            columns = next(rows, list(PredictionRow._fields))  # a draft may be empty
        _require_columns(path, columns)
        with _telling_place(path, lambda: f", line {rows.line_num}"):
            for name, score, label, boxes in rows:
                yield _prediction_row(name, float(score), int(label) if label else None, json.loads(boxes))


def write_parquet(path: Path, rows: Iterator[PredictionRow]) -> None:
    """Write a table as Parquet."""
    import pyarrow as pa  # noqa: PLC0415  an optional dependency
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {"path": pa.string(), "score": pa.float64(), "label": pa.int8(), "boxes": pa.list_(pa.list_(pa.int32()))}
    schema = pa.schema(list(columns.items()))
    with pq.ParquetWriter(path, schema) as writer:
        while batch := [row._asdict() for row in islice(rows, _ROWS_AT_A_TIME)]:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def read_parquet(path: Path) -> Iterator[PredictionRow]:
    """Read a table in Parquet, a few rows at a time.

    Raises:
        ValueError: If it is no table of predictions; the file is named.
    """
    import pyarrow.parquet as pq  # noqa: PLC0415

    with _telling_place(path):
        file = pq.ParquetFile(path)
    with file:
        _require_columns(path, file.schema_arrow.names)
        with _telling_place(path):
            for batch in file.iter_batches(_ROWS_AT_A_TIME):
                for row in batch.to_pylist():
                    yield _prediction_row(row["path"], row["score"], row["label"], row["boxes"])


def _require_columns(path: Path, found: list[str]) -> None:
    if found != (expected := list(PredictionRow._fields)):
        msg = f"{path} is not a table of predictions: its columns are {found}, not {expected}. Name another file."
        raise ValueError(msg)


@contextmanager
def _telling_place(path: Path, place: Callable[[], str] = str) -> Iterator[None]:
    """Name the file, and the place in it, where something is wrong with a row."""
    try:
        yield
    except (ValueError, TypeError, csv.Error, RecursionError) as error:
        msg = (
            f"{path}{place()}: expected path, score, label and boxes of an image, got something else ({error}). "
            "Correct it, or start anew without resume."
        )
        raise ValueError(msg) from error


def _prediction_row(path: Any, score: float, label: int | None, boxes: list[Any]) -> PredictionRow:  # noqa: ANN401
    if not (isinstance(path, str) and math.isfinite(score) and label in {None, 0, 1}):
        msg = f"path {path!r}, score {score} and label {label}"
        raise ValueError(msg)
    if any(type(side) is not int for box in boxes for side in box):
        msg = f"boxes {boxes}"
        raise ValueError(msg)
    return PredictionRow(path, score, label, [(left, top, right, bottom) for left, top, right, bottom in boxes])
