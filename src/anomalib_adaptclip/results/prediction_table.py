# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A table of predictions on disk, CSV or Parquet, which is either complete or does not exist.

During a run, rows are written to a draft, ``NAME.part``, which is always CSV. The table appears only when the run has
finished. An interrupted run leaves its draft, and another run can resume it, if its scores depend on the same things:
``NAME.run.json`` and ``NAME.part.run.json`` tell on which. A table has one writer at a time, which is ensured by a lock
beside it, ``.NAME.lock``; the lock ends with its process.
"""

import importlib.util
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING

from anomalib_adaptclip.files.atomic import cannot_write, followed, write_atomically
from anomalib_adaptclip.files.csv_rows import open_csv, write_rows
from anomalib_adaptclip.files.locks import locked

from .prediction_row import PredictionRow
from .row_files import cells, read_csv, read_jsonl, read_parquet, write_csv, write_jsonl, write_parquet
from .run_record import read_record, record_of, require_same_run, write_record

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

FORMATS = (".csv", ".parquet")
_LONGEST_NAME = 200  # of the 255 that systems take, for the draft and the files beside it have longer ones
WRITERS: dict[str, Callable[[Path, Iterator[PredictionRow]], None]] = {
    ".csv": write_csv, ".parquet": write_parquet, ".jsonl": write_jsonl,
}  # fmt: skip
_READERS = {".csv": read_csv, ".parquet": read_parquet}


class PredictionTable:
    """Writes predictions to a table.

    Args:
        path: Table to create or replace, ``.csv`` or ``.parquet``.
        resume: Keep the rows of an interrupted run, or of the existing table. Otherwise the table starts empty.

    Attributes:
        path: Path of the table.
        draft: Path of the draft, beside the file that the table is a link to, if it is one.
        paths: Paths of the images that have had a row since before this run.
        is_resumed: Whether there are, or could be, such rows.

    Raises:
        ValueError: If the suffix is unknown, pyarrow is not installed for Parquet, there is a folder of that name, or
            another run is writing the table.

    Example:
        >>> with PredictionTable("results.csv") as file:  # doctest: +SKIP
        ...     for paths, predictions in predictor.stream(images):
        ...         file.write(prediction_rows(paths, predictions, predictor.geometry, predictor.scale))
    """

    def __init__(self, path: Path | str, resume: bool = False) -> None:
        self.path = require_results(path)
        self.draft = draft_of(followed(self.path))
        self._lock = ExitStack()
        self._lock.enter_context(locked(self.path))
        self._resume = resume
        self.is_resumed = resume and (self.draft.exists() or self.path.exists())
        self._file: IO[str] | None = None
        self._identity: Mapping[str, str] | None = None
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
            cut_incomplete_row(self.draft)
            yield from (row.path for row in read_csv(self.draft))
        elif self.path.exists():
            yield from (row.path for row in read_predictions(self.path))

    def require_same_run(self, identity: Mapping[str, str]) -> None:
        """Check that earlier rows were made like those of this run; to be called before the first row.

        Args:
            identity: All that the scores depend on, by name. It is kept beside the table.

        Raises:
            ValueError: If there are earlier rows, and something is different, or nothing is known of them.
        """
        self._identity = identity
        if self.paths:
            earlier = self.draft if self.draft.exists() else self.path
            require_same_run(earlier, read_record(earlier), identity)

    def _open_draft(self) -> IO[str]:
        """Open the draft, not before the first rows: a run that fails earlier leaves an existing draft unchanged."""
        if self._file is None:
            if self._resume and self.path.exists() and not self.draft.exists():
                write_atomically(self.draft, lambda draft: write_csv(draft, read_predictions(self.path)))
            write_record(self.draft, self._identity)
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
            OSError: If the draft cannot be written. The rows that it has already are kept.
        """
        rows = list(rows)
        require_names(self.path, (row.path for row in rows))
        with _telling_kept_rows(self.draft):
            file = self._open_draft()
            write_rows(file, map(cells, rows))
            file.flush()

    def copy_to(self, path: Path) -> None:
        """Write all rows so far to another file as well.

        Args:
            path: File to create or replace, ``.csv``, ``.parquet`` or ``.jsonl``.

        Raises:
            OSError: If it cannot be written.
        """
        with _telling_kept_rows(self.draft):
            self._open_draft().flush()
        write_atomically(path, lambda copy: WRITERS[path.suffix](copy, read_csv(self.draft)))

    def finish(self) -> None:
        """Turn the draft into the table, and release the lock."""
        try:
            with _telling_kept_rows(self.draft):
                with self._open_draft() as file:
                    os.fsync(file.fileno())
                self._publish()
        finally:
            self.abandon()

    def _publish(self) -> None:
        """Turn the draft into the table. In between, the table has no record, so that nobody resumes it wrongly."""
        record_of(self.path).unlink(missing_ok=True)
        if self.path.suffix == ".parquet":
            write_atomically(self.path, lambda table: write_parquet(table, read_csv(self.draft)))
            self.draft.unlink()
        else:
            self.draft.replace(followed(self.path))
        if self._identity is not None:
            record_of(self.draft).replace(record_of(self.path))

    def abandon(self) -> None:
        """Stop without finishing, and release the lock. The draft stays, and the table is not written."""
        if self._file is not None:
            with suppress(OSError):  # what is left to write on a full disk is lost: its error has been raised already
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
        names = " or ".join(f"*{suffix}" for suffix in FORMATS)
        msg = f"Results must go to a file named {names}; got {str(path)[-100:]}."
        raise ValueError(msg)
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        msg = f"The name of the table is longer than {_LONGEST_NAME} bytes: {path.name[:20]}... Name a shorter one."
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
        path: Table that :class:`PredictionTable` wrote, ``.csv`` or ``.parquet``, or the same as ``.jsonl``.

    Returns:
        An iterator over the rows.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not such a table.
    """
    path = Path(path)
    if path.suffix != ".jsonl":
        require_results(path)
    if not path.is_file():
        msg = f"There is no table {path}. Name one that prediction wrote."
        raise FileNotFoundError(msg)
    return read_jsonl(path) if path.suffix == ".jsonl" else _READERS[path.suffix](path)


@contextmanager
def _telling_kept_rows(draft: Path) -> Iterator[None]:
    """Tell what to do when the disk is full."""
    try:
        yield
    except OSError as error:
        msg = f"{cannot_write(draft, error)} The rows so far are kept there: go on with resume."
        raise type(error)(msg) from error


def cut_incomplete_row(draft: Path) -> None:
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
