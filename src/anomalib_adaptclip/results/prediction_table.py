# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A table of predictions on disk, CSV or Parquet: written row by row, complete or not there.

While a run goes on its rows stand in a draft, ``NAME.part``, which is CSV whatever the table is. The table appears when
the run is through, all at once. A run that was broken off leaves the draft, and another may go on from it. A table has
one writer at a time, by a lock beside it, ``.NAME.lock``; the lock goes with its process.
"""

import csv
import importlib.util
import json
import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from anomalib_adaptclip.files.atomic import write_atomically
from anomalib_adaptclip.files.csv_rows import open_csv, write_rows
from anomalib_adaptclip.files.locks import locked

from .prediction_row import PredictionRow

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

FORMATS = (".csv", ".parquet")
_ROWS_AT_A_TIME = 1024


class PredictionTable:
    """Writes predictions to a table.

    Args:
        path: Table to make or replace, ``.csv`` or ``.parquet``.
        resume: Keep the rows of a run that was broken off, or of the table that is there. Otherwise it starts anew.

    Attributes:
        paths: Images that have a row since before this run.

    Raises:
        ValueError: If the suffix is another, Parquet has no library, there is a folder of that name, or another run is
            writing the table.

    Example:
        >>> with PredictionTable("results.csv") as file:  # doctest: +SKIP
        ...     for paths, predictions in predictor.stream(images):
        ...         file.write(prediction_rows(paths, predictions))
    """

    def __init__(self, path: Path | str, resume: bool = False) -> None:
        self.path = require_results(path)
        self.draft = draft_of(self.path)
        self._lock = ExitStack()
        self._lock.enter_context(locked(self.path))
        self._resume = resume
        self._file: IO[str] | None = None
        try:
            self.paths = frozenset(self._paths_of_before() if resume else ())
        except BaseException:
            self._lock.close()
            raise
        if self.draft.exists() and not resume:
            logger.warning(
                "The draft %s of a run that was broken off is replaced when the first rows come; resume would go on.",
                self.draft,
            )

    def _paths_of_before(self) -> Iterator[str]:
        if self.draft.exists():
            _cut_half_a_row(self.draft)
            yield from (row.path for row in _read_csv(self.draft))
        elif self.path.exists():
            yield from (row.path for row in read_predictions(self.path))

    def _opened(self) -> IO[str]:
        """The draft. A run that fails before its first rows leaves that of an earlier one as it was."""
        if self._file is None:
            if self._resume and self.path.exists() and not self.draft.exists():
                write_atomically(self.draft, lambda draft: _write_csv(draft, read_predictions(self.path)))
            self._file = open_csv(self.draft, "a" if self._resume else "w")
            if self._file.tell() == 0:
                write_rows(self._file, [PredictionRow._fields])
        return self._file

    def write(self, rows: Iterable[PredictionRow]) -> None:
        """Append rows; they are on disk when this returns.

        Raises:
            ValueError: If the table cannot hold the name of an image.
        """
        rows = list(rows)
        require_names(self.path, (row.path for row in rows))
        file = self._opened()
        write_rows(file, map(_cells, rows))
        file.flush()

    def finish(self) -> None:
        """Make the table out of the draft."""
        try:
            with self._opened() as file:
                os.fsync(file.fileno())
            if self.path.suffix == ".parquet":
                write_atomically(self.path, lambda table: _write_parquet(table, _read_csv(self.draft)))
                self.draft.unlink()
            else:
                self.draft.replace(self.path)
        finally:
            self._lock.close()

    def abandon(self) -> None:
        """Stop in between. The draft stays, and there is no table."""
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def __enter__(self) -> "Self":
        """Nothing more to do."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish, or leave the draft if there was an error."""
        if kind is None:
            self.finish()
        else:
            self.abandon()


def require_results(path: Path | str) -> Path:
    """Check where results are to go, before any work.

    Returns:
        The path.

    Raises:
        ValueError: If the suffix is unknown, Parquet has no library, or there is a folder of that name.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        msg = f"Results go to a file named {' or '.join(f'*{suffix}' for suffix in FORMATS)}; got {path}."
        raise ValueError(msg)
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        msg = f"{path} needs pyarrow: pip install 'anomalib-adaptclip[parquet]'. Or name a .csv file."
        raise ValueError(msg)
    if path.is_dir():
        msg = f"Results go to a file, and {path} is a folder. Name another file."
        raise ValueError(msg)
    return path


def require_names(path: Path | str, names: Iterable[str]) -> None:
    """Check that a table can hold the names of images.

    Raises:
        ValueError: If one is not UTF-8, and the table is Parquet.
    """
    if Path(path).suffix != ".parquet":
        return
    odd = next((name for name in names if name.encode(errors="ignore").decode() != name), None)
    if odd is not None:
        msg = f"Parquet holds names in UTF-8, and that of the file {odd!r} is not. Rename it, or name a .csv file."
        raise ValueError(msg)


def draft_of(path: Path) -> Path:
    """Where the rows of a table stand until it is complete."""
    return path.with_name(f"{path.name}.part")


def shard_of(path: Path | str, rank: int, count: int) -> Path:
    """File for the rows of one of several processes: ``results.csv`` becomes ``results-0-of-2.csv``.

    Args:
        path: Of the table.
        rank: Number of the process, from 0.
        count: Of processes. With one the path stays.
    """
    path = Path(path)
    return path if count == 1 else path.with_name(f"{path.stem}-{rank}-of-{count}{path.suffix}")


def read_predictions(path: Path | str) -> Iterator[PredictionRow]:
    """Rows of a table, one at a time.

    Args:
        path: Table that :class:`PredictionTable` made.

    Raises:
        ValueError: If it is something else.
    """
    path = require_results(path)
    return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)


def _cells(row: PredictionRow) -> Sequence[object]:
    return row.path, row.score, row.label, json.dumps(row.boxes)


def _write_csv(path: Path, rows: Iterable[PredictionRow]) -> None:
    with open_csv(path, "w") as file:
        write_rows(file, [PredictionRow._fields])
        write_rows(file, map(_cells, rows))


def _read_csv(path: Path) -> Iterator[PredictionRow]:
    with open_csv(path) as file:
        rows = csv.reader(file)
        _require_columns(path, next(rows, list(PredictionRow._fields)))  # a draft may have been left empty
        for name, score, label, boxes in rows:
            yield _prediction_row(name, float(score), int(label) if label else None, json.loads(boxes))


def _write_parquet(path: Path, rows: Iterator[PredictionRow]) -> None:
    import pyarrow as pa  # noqa: PLC0415  an extra
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {"path": pa.string(), "score": pa.float64(), "label": pa.int8(), "boxes": pa.list_(pa.list_(pa.int32()))}
    schema = pa.schema(list(columns.items()))
    with pq.ParquetWriter(path, schema) as writer:
        while batch := [row._asdict() for row in islice(rows, _ROWS_AT_A_TIME)]:
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema))


def _read_parquet(path: Path) -> Iterator[PredictionRow]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetFile(path) as file:
        _require_columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(_ROWS_AT_A_TIME):
            for row in batch.to_pylist():
                yield _prediction_row(row["path"], row["score"], row["label"], row["boxes"])


def _require_columns(path: Path, found: list[str]) -> None:
    if found != (expected := list(PredictionRow._fields)):
        msg = f"{path} holds no predictions: its columns are {found}, not {expected}. Name another file."
        raise ValueError(msg)


def _prediction_row(path: str, score: float, label: int | None, boxes: list[Any]) -> PredictionRow:
    return PredictionRow(path, score, label, [(left, top, right, bottom) for left, top, right, bottom in boxes])


def _cut_half_a_row(draft: Path) -> None:
    """Remove what stands behind the last complete row: one that was being written when its run was killed."""
    with draft.open("rb+") as file:
        file.truncate(_complete_bytes(file))


def _complete_bytes(lines: Iterable[bytes]) -> int:
    """Length of the complete rows. A quoted path may hold ends of lines; a row ends where all quotes are closed."""
    length = complete = quotes = 0
    for line in lines:
        length += len(line)
        quotes += line.count(b'"')
        if line.endswith(b"\n") and quotes % 2 == 0:
            complete = length
    return complete
