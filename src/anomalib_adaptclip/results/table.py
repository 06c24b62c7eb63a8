# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A table of results on disk, CSV or Parquet: written row by row, complete or not there.

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
from contextlib import suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from anomalib_adaptclip.files.tensors import write_atomically

from .prediction import Result

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

FORMATS = (".csv", ".parquet")
_ROWS_AT_A_TIME = 1024
_ENCODING: dict[str, Any] = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}  # any file name


class ResultsFile:
    """Writes results to a table.

    Args:
        path: Table to make or replace, ``.csv`` or ``.parquet``.
        resume: Keep the rows of a run that was broken off, or of the table that is there. Otherwise it starts anew.

    Attributes:
        paths: Images that have a row since before this run.

    Raises:
        ValueError: If the suffix is another, Parquet has no library, there is a folder of that name, or another run is
            writing the table.

    Example:
        >>> with ResultsFile("results.csv") as file:  # doctest: +SKIP
        ...     for paths, predictions in predictor.stream(images):
        ...         file.write(results_of(paths, predictions))
    """

    def __init__(self, path: Path | str, resume: bool = False) -> None:
        self.path = require_results(path)
        self.draft = draft_of(self.path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self.path)
        self._resume = resume
        self._file: IO[str] | None = None
        try:
            self.paths = frozenset(self._paths_of_before() if resume else ())
        except BaseException:
            self._release()
            raise
        if self.draft.exists() and not resume:
            logger.warning(
                "The draft %s of a run that was broken off is replaced when the first rows come; resume would go on.",
                self.draft,
            )

    def _paths_of_before(self) -> Iterator[str]:
        if self.draft.exists():
            _cut_half_a_row(self.draft)
            yield from (result.path for result in _read_csv(self.draft))
        elif self.path.exists():
            yield from (result.path for result in read_results(self.path))

    def _opened(self) -> IO[str]:
        """The draft. A run that fails before its first rows leaves that of an earlier one as it was."""
        if self._file is None:
            if self._resume and self.path.exists() and not self.draft.exists():
                write_atomically(self.draft, lambda draft: _write_csv(draft, read_results(self.path)))
            self._file = self.draft.open("a" if self._resume else "w", **_ENCODING)
            if self._file.tell() == 0:
                _write_columns(self._file)
        return self._file

    def write(self, results: Iterable[Result]) -> None:
        """Append rows; they are on disk when this returns.

        Raises:
            ValueError: If the table cannot hold the name of an image.
        """
        rows = list(results)
        require_names(self.path, (row.path for row in rows))
        file = self._opened()
        _write_rows(file, rows)
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
            self._release()

    def abandon(self) -> None:
        """Stop in between. The draft stays, and there is no table."""
        if self._file is not None:
            self._file.close()
        self._release()

    def _release(self) -> None:
        """Let others write, and leave no file of the lock."""
        if self._lock.is_locked:
            with suppress(OSError):  # Windows removes no open files
                Path(self._lock.lock_file).unlink()
            self._lock.release()

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


def read_results(path: Path | str) -> Iterator[Result]:
    """Rows of a table, one at a time.

    Args:
        path: Table that :class:`ResultsFile` made.

    Raises:
        ValueError: If it is something else.
    """
    path = require_results(path)
    return _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)


def _lock(path: Path) -> FileLock:
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        msg = (
            f"Another run is writing {path}. Wait until it is through, or name another file. If it was killed, its "
            "workers hold the table for some seconds more."
        )
        raise ValueError(msg) from error
    return lock


def _cells(result: Result) -> Sequence[object]:
    label = "" if result.label is None else result.label
    return result.path, result.score, label, json.dumps(result.boxes)


def _write_columns(file: IO[str]) -> None:
    csv.writer(file, lineterminator="\n").writerow(Result._fields)


def _write_rows(file: IO[str], results: Iterable[Result]) -> None:
    plain, quoted = (
        csv.writer(file, lineterminator="\n", quoting=quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for result in results:
        # Python before 3.13 quotes no carriage return, and reads it as the end of a row
        (quoted if "\r" in result.path else plain).writerow(_cells(result))


def _write_csv(path: Path, results: Iterable[Result]) -> None:
    with path.open("w", **_ENCODING) as file:
        _write_columns(file)
        _write_rows(file, results)


def _read_csv(path: Path) -> Iterator[Result]:
    with path.open(**_ENCODING) as file:
        rows = csv.reader(file)
        _require_columns(path, next(rows, list(Result._fields)))  # a draft may have been left empty
        for name, score, label, boxes in rows:
            yield _result(name, float(score), int(label) if label else None, json.loads(boxes))


def _write_parquet(path: Path, results: Iterator[Result]) -> None:
    import pyarrow as pa  # noqa: PLC0415  an extra
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = {"path": pa.string(), "score": pa.float64(), "label": pa.int8(), "boxes": pa.list_(pa.list_(pa.int32()))}
    schema = pa.schema(list(columns.items()))
    with pq.ParquetWriter(path, schema) as writer:
        while rows := [result._asdict() for result in islice(results, _ROWS_AT_A_TIME)]:
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))


def _read_parquet(path: Path) -> Iterator[Result]:
    import pyarrow.parquet as pq  # noqa: PLC0415

    with pq.ParquetFile(path) as file:
        _require_columns(path, file.schema_arrow.names)
        for batch in file.iter_batches(_ROWS_AT_A_TIME):
            for row in batch.to_pylist():
                yield _result(row["path"], row["score"], row["label"], row["boxes"])


def _require_columns(path: Path, found: list[str]) -> None:
    if found != list(Result._fields):
        msg = f"{path} holds no results: its columns are {found}, not {list(Result._fields)}. Name another file."
        raise ValueError(msg)


def _result(path: str, score: float, label: int | None, boxes: list[Any]) -> Result:
    return Result(path, score, label, [(left, top, right, bottom) for left, top, right, bottom in boxes])


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
