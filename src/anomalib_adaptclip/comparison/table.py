# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The table of a sweep on disk: a CSV file with one row a run."""

import csv
import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from anomalib_adaptclip.files.atomic import write_atomically

from .evaluation import METRICS
from .gallery_file import gallery_path

logger = logging.getLogger(__name__)

COLUMNS = (
    "model",
    "data_set",
    "category",
    "shots",
    "seed",
    *METRICS,
    "error",
    "images",
    "prompts",
    "adapters",
    "leakage",
    "fit_seconds",
    "test_seconds",
    "image_seconds",
    "peak_memory_mb",
    "device",
    "finished",
    "versions",
    "categories",
    "configuration",
)

_NEWEST = ("leakage", "image_seconds", "categories")  # which older tables lack
_FORMER_COLUMNS = tuple(name for name in COLUMNS if name not in _NEWEST)
Row = dict[str, str]


def read_table(path: Path) -> list[Row]:
    """Read the rows of a table, none if there is no file.

    Tables are written as a whole, but one that was copied or restored may end in the midst of a row. That row is left
    out, with a warning.

    Args:
        path: CSV file.

    Returns:
        Cells by column, as they are written. Undefined metrics, and those of failed runs, are empty.

    Raises:
        ValueError: If it is no such table.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            text = file.read()
        is_whole = text.endswith("\n")
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=is_whole)
        rows = list(reader)
    except (UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} is no table of runs ({error!r}). Move it away, or choose another output folder."
        raise ValueError(msg) from error
    cut = rows.pop() if rows and not is_whole else None
    columns = tuple(reader.fieldnames or ())
    if columns not in {COLUMNS, _FORMER_COLUMNS} or any(None in row.values() or None in row for row in rows):
        msg = f"{path} is no table of runs: its columns are others. Move it away, or choose another output folder."
        raise ValueError(msg)
    if cut:
        logger.warning("%s ends in the midst of a row, which is left out: its run is done again.", path)
    return [dict.fromkeys(COLUMNS, "") | row for row in rows]


def finished_runs(path: Path) -> set[str]:
    """Configurations of the runs that need not be run again.

    Raises:
        ValueError: If it is no such table, or cannot be one.
    """
    _require_folder(path)
    return {row["configuration"] for row in read_table(path) if not row["error"]}


@contextmanager
def lock_table(path: Path) -> Iterator[None]:
    """Keep other sweeps from a table. The lock ends with its process, however that ends.

    Args:
        path: CSV file, which need not exist. The lock is a file beside it, and stays there.

    Raises:
        ValueError: If another sweep has it, or its folder is a file.
    """
    _require_folder(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        msg = f"Another sweep is writing to {path}. Wait until it is through, or choose another output folder."
        raise ValueError(msg) from error
    try:
        yield
    finally:
        lock.release()


def _require_folder(path: Path) -> None:
    if taken := next((folder for folder in path.parents if folder.exists() and not folder.is_dir()), None):
        msg = f"{taken} is a file, and {path.name} needs a folder. Name another one: --output FOLDER"
        raise ValueError(msg)


def store_row(path: Path, row: dict[str, Any]) -> None:
    """Append a row, in place of an earlier one of the same configuration. Whoever reads finds a whole table.

    Args:
        path: CSV file, made if need be.
        row: Cells by column. Those that are missing, or None, are empty. Pictures under ``gallery`` go into a file
            beside the table.

    Raises:
        ValueError: If the file holds something else.
    """
    pictures = row.get("gallery")
    rows: list[dict[str, Any]] = [other for other in read_table(path) if other["configuration"] != row["configuration"]]

    def write(draft: Path) -> None:
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows([*rows, row])

    if pictures:
        write_atomically(gallery_path(path, row), methodcaller("write_bytes", pictures))
    write_atomically(path, write)
