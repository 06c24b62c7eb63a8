# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Rows of predictions in files: CSV, Parquet, and JSON by lines."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

from anomalib_adaptclip.files.csv_rows import open_csv, write_rows

from .prediction_row import PredictionRow

_ROWS_AT_A_TIME = 1024


def cells(row: PredictionRow) -> Sequence[object]:
    """Return the cells of a row in CSV."""
    return [json.dumps(cell) if isinstance(cell, list | tuple) else cell for cell in row]


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
            for row in rows:
                cells_by_name = dict(zip(columns, row, strict=True))
                path_cell = cells_by_name.pop("path")
                yield _prediction_row(path=path_cell, **{name: _value(cell) for name, cell in cells_by_name.items()})


def write_parquet(path: Path, rows: Iterator[PredictionRow]) -> None:
    """Write a table as Parquet."""
    import pyarrow as pa  # noqa: PLC0415  an optional dependency
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {"path": pa.string(), "score": pa.float64(), "label": pa.int8(), "boxes": pa.list_(pa.list_(pa.int32()))}
    columns |= dict.fromkeys(("raw_score", "raw_threshold", "normal_share"), pa.float64())
    columns |= {"region_areas": pa.list_(pa.int64()), "region_scores": pa.list_(pa.float64())}
    schema = pa.schema([(name, columns[name]) for name in PredictionRow._fields])
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
                    yield _prediction_row(**row)


def write_jsonl(path: Path, rows: Iterable[PredictionRow]) -> None:
    """Write a JSON object for each row, on a line of its own."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(f"{json.dumps(row._asdict())}\n" for row in rows)


def read_jsonl(path: Path) -> Iterator[PredictionRow]:
    """Read what :func:`write_jsonl` wrote, one row at a time.

    Raises:
        ValueError: If it is something else; file and line are named.
    """
    number = count(1)
    with path.open(encoding="utf-8") as file, _telling_place(path, lambda: f", line {next(number) - 1}"):
        for _, line in zip(number, file, strict=False):
            yield _prediction_row(**json.loads(line))


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


def _value(cell: str) -> Any:  # noqa: ANN401
    return json.loads(cell) if cell else None


def _prediction_row(path: Any, score: Any, label: Any, boxes: list[Any], **others: Any) -> PredictionRow:  # noqa: ANN401
    """Check the parts of a row.

    Raises:
        ValueError: If one is wrong.
        TypeError: If one is of a wrong type, or there are other ones.
    """
    if not (isinstance(path, str) and _is_number(score) and label in {None, 0, 1}):
        msg = f"path {path!r}, score {score} and label {label}"
        raise ValueError(msg)
    if any(type(side) is not int for box in boxes for side in box):
        msg = f"boxes {boxes}"
        raise ValueError(msg)
    areas, scores = (tuple(others.pop(name)) for name in ("region_areas", "region_scores"))
    known = [value for value in (*others.values(), *areas, *scores) if value is not None]
    if not (all(map(_is_number, known)) and {len(areas), len(scores)} <= {0, len(boxes)}):
        msg = f"{others}, areas {areas} and scores {scores} of {len(boxes)} regions"
        raise ValueError(msg)
    corners = [(left, top, right, bottom) for left, top, right, bottom in boxes]
    return PredictionRow(path, score, label, corners, **others, region_areas=areas, region_scores=scores)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
