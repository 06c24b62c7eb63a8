# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The table of a watched folder: a row for each file, as soon as it is judged."""

import csv
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from anomalib_adaptclip.files.atomic import cannot_write, followed
from anomalib_adaptclip.files.csv_rows import open_csv, shorten_error, write_rows
from anomalib_adaptclip.files.locks import locked
from anomalib_adaptclip.results.prediction_row import PredictionRow
from anomalib_adaptclip.results.prediction_table import cut_incomplete_row
from anomalib_adaptclip.results.row_files import cells

if TYPE_CHECKING:
    from typing_extensions import Self

COLUMNS = (*PredictionRow._fields, "error", "judged", "bytes", "modified")


class Version(NamedTuple):
    """Which content of a file is meant: a file that is written anew under its old name is another one.

    Attributes:
        path: Its path below the folder, with slashes.
        size: Bytes.
        modified: Time of its last change, in nanoseconds.
    """

    path: str
    size: int
    modified: int


class WatchedTable:
    """A table that is complete after each row, for those who read it meanwhile and for the next start.

    Args:
        path: CSV file to create or to go on with.

    Attributes:
        known: Versions of files that have a row.

    Raises:
        ValueError: If it is another table, or another run writes it.
        OSError: If it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._context = ExitStack()
        self._context.enter_context(locked(path))
        try:
            self._file = self._context.enter_context(self._opened(followed(path)))
            self.known = read_versions(path)
        except BaseException:
            self._context.close()
            raise

    def _opened(self, path: Path) -> IO[str]:
        try:
            if path.exists():
                require_table(path)
                cut_incomplete_row(path)
            file = open_csv(path, "a")
            if file.tell() == 0:
                write_rows(file, [COLUMNS])
                file.flush()
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return file

    def write(self, judged: Iterable[tuple[Version, Mapping[str, Any]]]) -> None:
        """Append rows. They are on the disk when this returns.

        Args:
            judged: Files, and for each the fields of a ``Judged`` or a ``Refused``.

        Raises:
            OSError: If they cannot be written.
        """
        now = datetime.now(tz=timezone.utc).isoformat(timespec="seconds")
        judged = list(judged)
        try:
            write_rows(self._file, ([*_cells(version.path, answer), now, *version[1:]] for version, answer in judged))
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.known.update(version for version, _ in judged)

    def __enter__(self) -> "Self":
        """Return the table itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file and let others write it."""
        self._context.close()


def require_table(path: Path) -> None:
    """Check that an existing file is such a table, before any work is done.

    Raises:
        ValueError: If it is another one.
    """
    if not path.is_file():
        return
    with open_csv(path) as file:
        head = file.readline(10_000)
    columns = ",".join(COLUMNS)
    if head and head != f"{columns}\n" and not columns.startswith(head):
        msg = f"{path} is not a table of a watched folder: its columns are others than {columns}. Name another file."
        raise ValueError(msg)


def read_versions(path: Path) -> set[Version]:
    """Files that have a row.

    Raises:
        ValueError: If a row is damaged; it is named.
    """
    with open_csv(path) as file:
        rows = csv.DictReader(file)
        try:
            return {Version(row["path"], int(row["bytes"]), int(row["modified"])) for row in rows}
        except (TypeError, ValueError, KeyError) as error:
            msg = (
                f"{path}, line {rows.line_num}: expected {len(COLUMNS)} cells, got others. Correct it, or move it away."
            )
            raise ValueError(msg) from error


def _cells(path: str, answer: Mapping[str, Any]) -> list[object]:
    if "error" in answer:
        return [path, *[None] * (len(PredictionRow._fields) - 1), shorten_error(answer["error"])]
    regions = answer["regions"]
    is_calibrated = answer["threshold"] is not None
    row = PredictionRow(
        path,
        answer["normalized_score"],
        answer["label"],
        [tuple(region["box"]) for region in regions],
        answer["score"],
        answer["threshold"] if is_calibrated else None,
        answer["normal_share"],
        tuple(region["area"] for region in regions),
        tuple(region["score"] for region in regions if region["score"] is not None),
    )
    return [*cells(row), None]
