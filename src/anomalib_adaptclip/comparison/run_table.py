# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tables of runs on disk: CSV files with one row per run, for both sweeps and ablations."""

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
    """A dataclass whose fields are the columns of a table: text, booleans, and integers and floats of at least 0."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def error(self) -> str:
        """Error message if the run failed, otherwise empty."""

    @property
    def configuration(self) -> str:
        """All settings that the metrics depend on. Two rows with the same configuration are the same run."""


RowT = TypeVar("RowT", bound=StoredRow)


class RunTable(Generic[RowT]):
    """Stores the results of runs in a CSV file and reads them back.

    Args:
        path: CSV file, which need not exist yet.
        row_type: Class of the rows.
        sort_key: Function that gives the sort key of a row. By default rows keep the order in which they were stored.
    """

    def __init__(self, path: Path, row_type: type[RowT], sort_key: Callable[[RowT], Any] | None = None) -> None:
        self.path = path
        self._row_type, self._sort_key = row_type, sort_key
        self._columns = [column.name for column in fields(row_type)]

    def rows(self) -> list[RowT]:
        """Read the table.

        The file is always written as a whole, but a copied or restored one may end in the middle of a row. Such a row
        is left out with a warning.

        Returns:
            The rows, or an empty list if there is no file.

        Raises:
            ValueError: If the file is not such a table, or a cell is wrong.
        """
        return [row for _, row in self.numbered_rows()]

    def numbered_rows(self) -> list[tuple[int, RowT]]:
        """Read the table as :meth:`rows` does.

        Returns:
            The rows, each with the number of its last line in the file.
        """
        if not self.path.is_file():
            return []
        try:
            return [(line, self._parse_row(line, cells)) for line, cells in self._read_lines()]
        except ValueError as error:
            msg = f"{self.path} is not a table of runs: {error}. Move it away, or choose another output folder."
            raise ValueError(msg) from error

    def _parse_row(self, line: int, cells: dict[str, str]) -> RowT:
        kinds = get_type_hints(self._row_type)
        try:
            return self._row_type(**{name: _parse_cell(name, kinds[name], text) for name, text in cells.items()})
        except ValueError as error:
            msg = f"{error} (line {line})"
            raise ValueError(msg) from error

    def _read_lines(self) -> list[tuple[int, dict[str, str]]]:
        with open_csv(self.path) as file:
            text = file.read()
        is_whole = text.endswith("\n")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=is_whole)
        try:
            lines = [(reader.line_num, cells) for cells in reader]
        except csv.Error as error:
            msg = f"{error} (line {reader.line_num})"
            raise ValueError(msg) from error
        incomplete = lines.pop() if lines and not is_whole else None
        if reader.fieldnames != self._columns:
            msg = "its columns are different"
            raise ValueError(msg)
        if wrong := [line for line, cells in lines if None in cells.values() or None in cells]:
            msg = f"its columns are different (line {wrong[0]})"
            raise ValueError(msg)
        if incomplete:
            logger.warning("%s ends in the middle of a row. That row is left out, and its run repeated.", self.path)
        return lines

    def finished(self) -> dict[str, RowT]:
        """Return the rows that need not be run again, by configuration.

        Raises:
            ValueError: If the file is not such a table, or its folder is a file.
        """
        self._require_folder()
        return {row.configuration: row for row in self.rows() if not row.error}

    def store(self, row: RowT) -> None:
        """Add a row, replacing an earlier one of the same configuration. Readers always find a complete table.

        Args:
            row: Row to store.

        Raises:
            ValueError: If the file is not such a table.
        """
        rows = [*(other for other in self.rows() if other.configuration != row.configuration), row]
        if self._sort_key:
            rows.sort(key=self._sort_key)

        def write(draft: Path) -> None:
            """Write the header and all rows."""
            with open_csv(draft, "w") as file:
                write_rows(file, [self._columns, *map(astuple, rows)])

        write_atomically(self.path, write)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing the table until the context ends.

        Raises:
            ValueError: If another process is writing it, or its folder is a file.
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
    """Convert a cell to the type of its column. An empty cell is ``None`` if the column allows it."""
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
        msg = f"{name} is {text!r}, not a number of at least 0"
        raise ValueError(msg)
    return value
