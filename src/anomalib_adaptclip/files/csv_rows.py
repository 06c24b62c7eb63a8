# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How tables are written as CSV: UTF-8, a line feed behind each row, any text and any file name in a cell."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Literal


def open_csv(path: Path, mode: Literal["r", "w", "a"] = "r") -> IO[str]:
    """Open a CSV file as text. Bytes that are not UTF-8, as file names may hold, are kept."""
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def write_rows(file: IO[str], rows: Iterable[Sequence[object]]) -> None:
    """Append rows. ``None`` becomes an empty cell."""
    plain, quoted = (
        csv.writer(file, lineterminator="\n", quoting=quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in rows:
        # Python before 3.13 quotes no carriage return, and reads it as the end of a row
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if has_return else plain).writerow(row)
