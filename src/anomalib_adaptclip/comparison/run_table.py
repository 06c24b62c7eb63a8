# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tables of runs on disk: CSV files with one row a run, for sweeps and ablations alike."""

import csv
import io
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_args, get_type_hints

from anomalib_adaptclip.files.atomic import write_atomically
from anomalib_adaptclip.files.csv_rows import open_csv, write_rows
from anomalib_adaptclip.files.locks import locked

logger = logging.getLogger(__name__)


class StoredRow(Protocol):
    """A dataclass whose fields are the columns of a table: text, integers, floats from 0, and booleans."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def error(self) -> str:
        """Why the run has no figures, empty if it is finished."""

    @property
    def configuration(self) -> str:
        """What the figures depend on; it tells runs apart."""


RowT = TypeVar("RowT", bound=StoredRow)


class RunTable(Generic[RowT]):
    """A table of runs.

    Args:
        path: CSV file, which need not exist.
        row_type: Class of its rows.
        sort_key: Orders the rows. By default they stand in the order in which they were stored.
    """

    def __init__(self, path: Path, row_type: type[RowT], sort_key: Callable[[RowT], Any] | None = None) -> None:
        self.path = path
        self._row_type, self._sort_key = row_type, sort_key
        self._columns = [column.name for column in fields(row_type)]

    def rows(self) -> list[RowT]:
        """Read the table.

        It is written as a whole, but one that was copied or restored may end in the midst of a row. That row is left
        out, with a warning.

        Returns:
            Its rows, none if there is no file.

        Raises:
            ValueError: If it is no such table, or a cell is wrong.
        """
        if not self.path.is_file():
            return []
        kinds = get_type_hints(self._row_type)
        try:
            return [
                self._row_type(**{name: _parse_cell(name, kinds[name], text) for name, text in line.items()})
                for line in self._read_lines()
            ]
        except (ValueError, csv.Error) as error:
            msg = f"{self.path} is no table of runs: {error}. Move it away, or choose another output folder."
            raise ValueError(msg) from error

    def _read_lines(self) -> list[dict[str, str]]:
        with open_csv(self.path) as file:
            text = file.read()
        is_whole = text.endswith("\n")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=is_whole)
        lines = list(reader)
        torn = lines.pop() if lines and not is_whole else None
        if reader.fieldnames != self._columns or any(None in line.values() or None in line for line in lines):
            msg = "its columns are others"
            raise ValueError(msg)
        if torn:
            logger.warning("%s ends in the midst of a row, which is left out: its run is done again.", self.path)
        return lines

    def finished(self) -> dict[str, RowT]:
        """Rows that need not be run again, by configuration.

        Raises:
            ValueError: If it is no such table, or cannot be one.
        """
        self._require_folder()
        return {row.configuration: row for row in self.rows() if not row.error}

    def store(self, row: RowT) -> None:
        """Add a row, in place of an earlier one of the same configuration. Whoever reads finds a whole table.

        Raises:
            ValueError: If the file holds something else.
        """
        rows = [*(other for other in self.rows() if other.configuration != row.configuration), row]
        if self._sort_key:
            rows.sort(key=self._sort_key)

        def write(draft: Path) -> None:
            with open_csv(draft, "w") as file:
                write_rows(file, [self._columns, *map(astuple, rows)])

        write_atomically(self.path, write)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs from the table while one is going on.

        Raises:
            ValueError: If another run has it, or its folder is a file.
        """
        self._require_folder()
        with locked(self.path):
            yield

    def _require_folder(self) -> None:
        path = self.path
        if taken := next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None):
            msg = f"{taken} is a file, and {path.name} needs a folder. Name another one: --output FOLDER"
            raise ValueError(msg)


def _parse_cell(name: str, kind: Any, text: str) -> object:  # noqa: ANN401
    """Value of a cell. An empty one is ``None`` where the column allows it."""
    if kind is str:
        return text
    if not text and type(None) in get_args(kind):
        return None
    if kind is bool:
        return _parse_bool(name, text)
    return _parse_number(name, int if int in (kind, *get_args(kind)) else float, text)


def _parse_bool(name: str, text: str) -> bool:
    if text not in {"True", "False"}:
        msg = f"{name} is {text!r}, not True or False"
        raise ValueError(msg)
    return text == "True"


def _parse_number(name: str, kind: type[int] | type[float], text: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        msg = f"{name} is {text!r}, not a number from 0"
        raise ValueError(msg)
    return value
