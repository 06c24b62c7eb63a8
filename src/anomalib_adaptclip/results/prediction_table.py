# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A table of predictions on disk, CSV or Parquet, which is either complete or does not exist.

During a run, rows are written to a draft, ``NAME.part``, which is always CSV. The table appears only when the run has
finished. An interrupted run leaves its draft, and another run can resume it. A table has one writer at a time, which is
ensured by a lock beside it, ``.NAME.lock``; the lock ends with its process.
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
        path: Table to create or replace, ``.csv`` or ``.parquet``.
        resume: Keep the rows of an interrupted run, or of the existing table. Otherwise the table starts empty.

    Attributes:
        path: Path of the table.
        draft: Path of the draft.
        paths: Paths of the images that have had a row since before this run.

    Raises:
        ValueError: If the suffix is unknown, pyarrow is not installed for Parquet, there is a folder of that name, or
            another run is writing the table.

    Example:
        >>> with PredictionTable("results.csv") as file:  # doctest: +SKIP
        ...     for paths, predictions in predictor.stream(images):
        ...         file.write(prediction_rows(paths, predictions, predictor.geometry))
    """

    def __init__(self, path: Path | str, resume: bool = False) -> None:
        self.path = require_results(path)
        self.draft = draft_of(self.path)
        self._lock = ExitStack()
        self._lock.enter_context(locked(self.path))
        self._resume = resume
        self._file: IO[str] | None = None
        try:
            self.paths = frozenset(self._earlier_paths() if resume else ())
        except BaseException:
            self._lock.close()
            raise
        if self.draft.exists() and not resume:
            logger.warning(
                "The draft %s of an interrupted run is replaced by the first rows of this run. To keep it, use resume.",
                self.draft,
            )

    def _earlier_paths(self) -> Iterator[str]:
        if self.draft.exists():
            _cut_incomplete_row(self.draft)
            yield from (row.path for row in _read_csv(self.draft))
        elif self.path.exists():
            yield from (row.path for row in read_predictions(self.path))

    def _open_draft(self) -> IO[str]:
        """Open the draft, not before the first rows: a run that fails earlier leaves an existing draft unchanged."""
        if self._file is None:
            if self._resume and self.path.exists() and not self.draft.exists():
                write_atomically(self.draft, lambda draft: _write_csv(draft, read_predictions(self.path)))
            self._file = open_csv(self.draft, "a" if self._resume else "w")
            if self._file.tell() == 0:
                write_rows(self._file, [PredictionRow._fields])
        return self._file

    def write(self, rows: Iterable[PredictionRow]) -> None:
        """Append rows. They are in the file when this returns.

        Args:
            rows: Rows to append.

        Raises:
            ValueError: If the table cannot hold the name of an image.
        """
        rows = list(rows)
        require_names(self.path, (row.path for row in rows))
        file = self._open_draft()
        write_rows(file, map(_cells, rows))
        file.flush()

    def finish(self) -> None:
        """Turn the draft into the table, and release the lock."""
        try:
            with self._open_draft() as file:
                os.fsync(file.fileno())
            if self.path.suffix == ".parquet":
                write_atomically(self.path, lambda table: _write_parquet(table, _read_csv(self.draft)))
                self.draft.unlink()
            else:
                self.draft.replace(self.path)
        finally:
            self._lock.close()

    def abandon(self) -> None:
        """Stop without finishing, and release the lock. The draft stays, and the table is not written."""
        if self._file is not None:
            self._file.close()
        self._lock.close()

    def __enter__(self) -> "Self":
        """Return the table itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish the table, or abandon it if there was an error."""
        if kind is None:
            self.finish()
        else:
            self.abandon()


def require_results(path: Path | str) -> Path:
    """Check that a table of results can be written, before any work is done.

    Args:
        path: Table to write.

    Returns:
        The same path.

    Raises:
        ValueError: If the suffix is unknown, pyarrow is not installed for Parquet, or there is a folder of that name.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        msg = f"Results must go to a file named {' or '.join(f'*{suffix}' for suffix in FORMATS)}; got {path}."
        raise ValueError(msg)
    if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        msg = f"{path} needs pyarrow: pip install 'anomalib-adaptclip[parquet]'. Or name a .csv file."
        raise ValueError(msg)
    if path.is_dir():
        msg = f"Results must go to a file, but {path} is a folder. Name another file."
        raise ValueError(msg)
    return path


def require_names(path: Path | str, names: Iterable[str]) -> None:
    """Check that a table can hold the names of images.

    Args:
        path: Path of the table.
        names: File names of the images.

    Raises:
        ValueError: If a name is not UTF-8 and the table is Parquet.
    """
    if Path(path).suffix != ".parquet":
        return
    odd = next((name for name in names if name.encode(errors="ignore").decode() != name), None)
    if odd is not None:
        msg = f"Parquet needs names in UTF-8, and that of the file {odd!r} is not. Rename it, or name a .csv file."
        raise ValueError(msg)


def draft_of(path: Path) -> Path:
    """Return the path of the draft, which holds the rows of a table until it is complete.

    Args:
        path: Path of the table.
    """
    return path.with_name(f"{path.name}.part")


def shard_of(path: Path | str, rank: int, count: int) -> Path:
    """Return the path of one process's table: ``results.csv`` becomes ``results-0-of-2.csv``.

    Args:
        path: Path of the whole table.
        rank: Number of the process, from 0.
        count: Number of processes. If there is only one, the path is not changed.
    """
    path = Path(path)
    return path if count == 1 else path.with_name(f"{path.stem}-{rank}-of-{count}{path.suffix}")


def read_predictions(path: Path | str) -> Iterator[PredictionRow]:
    """Read the rows of a table, one at a time.

    Args:
        path: Table that :class:`PredictionTable` wrote.

    Returns:
        An iterator over the rows.

    Raises:
        ValueError: If the file is not such a table.
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
        _require_columns(path, next(rows, list(PredictionRow._fields)))  # a draft may be empty
        for name, score, label, boxes in rows:
            yield _prediction_row(name, float(score), int(label) if label else None, json.loads(boxes))


def _write_parquet(path: Path, rows: Iterator[PredictionRow]) -> None:
    import pyarrow as pa  # noqa: PLC0415  an optional dependency
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
        msg = f"{path} is not a table of predictions: its columns are {found}, not {expected}. Name another file."
        raise ValueError(msg)


def _prediction_row(path: str, score: float, label: int | None, boxes: list[Any]) -> PredictionRow:
    return PredictionRow(path, score, label, [(left, top, right, bottom) for left, top, right, bottom in boxes])


def _cut_incomplete_row(draft: Path) -> None:
    """Remove an incomplete last row, which was being written when its run was killed."""
    with draft.open("rb+") as file:
        file.truncate(_complete_bytes(file))


def _complete_bytes(lines: Iterable[bytes]) -> int:
    """Return the length of the complete rows. A quoted path may contain line breaks, which do not end a row."""
    length = complete = quotes = 0
    for line in lines:
        length += len(line)
        quotes += line.count(b'"')
        if line.endswith(b"\n") and quotes % 2 == 0:
            complete = length
    return complete
