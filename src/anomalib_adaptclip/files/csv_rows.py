# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads and writes CSV: UTF-8, a line feed after each row, and any text or file name in a cell."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Literal


def open_csv(path: Path, mode: Literal["r", "w", "a"] = "r") -> IO[str]:
    """Open a CSV file as text. Bytes that are not UTF-8, which file names may contain, are kept.

    Args:
        path: CSV file.
        mode: Whether to read, write or append.
    """
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def write_rows(file: IO[str], rows: Iterable[Sequence[object]]) -> None:
    """Append rows to a CSV file. ``None`` becomes an empty cell.

    Args:
        file: File that :func:`open_csv` opened.
        rows: Rows to append.
    """
    plain, quoted = (
        csv.writer(file, lineterminator="\n", quoting=quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in rows:
        # Python before 3.13 does not quote a carriage return, and reads it as the end of a row
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if has_return else plain).writerow(row)
