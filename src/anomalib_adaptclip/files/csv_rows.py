# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads and writes CSV: UTF-8, a line feed after each row, and any text or file name in a cell."""

import csv
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Literal

MAX_ERROR = 10_000  # characters of an error message that a table keeps: other readers take cells of 131,072 at most
_UNWRITABLE = re.compile("[\0\ud800-\udc7f\udd00-\udfff]")  # NUL, and surrogates that stand for no byte

csv.field_size_limit(2**31 - 1)  # cells may be longer than csv's own limit, which would refuse the table for good


def open_csv(path: Path, mode: Literal["r", "w", "a"] = "r") -> IO[str]:
    """Open a CSV file as text. Bytes that are not UTF-8, which file names may contain, are kept.

    Args:
        path: CSV file.
        mode: Whether to read, write or append.
    """
    return path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")


def write_rows(file: IO[str], rows: Iterable[Sequence[object]]) -> None:
    r"""Append rows to a CSV file. ``None`` becomes an empty cell.

    Args:
        file: File that :func:`open_csv` opened.
        rows: Rows to append. A character that CSV cannot hold is written as an escape, such as ``\x00``.
    """
    plain, quoted = (
        csv.writer(file, lineterminator="\n", quoting=quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL)
    )
    for row in ([_writable(cell) for cell in row] for row in rows):
        # Python before 3.13 does not quote a carriage return, and reads it as the end of a row
        has_return = any(isinstance(cell, str) and "\r" in cell for cell in row)
        (quoted if has_return else plain).writerow(row)


def describe_error(error: BaseException) -> str:
    """Describe an error for a cell of a table and for any terminal, whatever it says: its class and its message.

    Args:
        error: Error of a run.

    Returns:
        Text in UTF-8, of at most ``MAX_ERROR`` characters and a note.
    """
    try:
        text = f"{type(error).__name__}: {error}"
    except Exception as problem:  # noqa: BLE001  # the message is computed by the error itself
        text = f"{type(error).__name__}, whose message cannot be read ({type(problem).__name__})"
    return shorten_error(text)


def shorten_error(text: str) -> str:
    """Cut an error message, and write what is not UTF-8 as escapes. See :func:`describe_error`."""
    rest = len(text) - MAX_ERROR
    text = text if rest <= 0 else f"{text[:MAX_ERROR]} ... and {rest} more characters"
    return text.replace("\0", "\\x00").encode(errors="backslashreplace").decode()


def _writable(cell: object) -> object:
    if not isinstance(cell, str):
        return cell
    return _UNWRITABLE.sub(lambda found: ascii(found[0])[1:-1], cell)
