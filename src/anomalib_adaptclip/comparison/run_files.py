# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Names the files that a run keeps beside the table."""

import hashlib
import re
from pathlib import Path

from .run_row import RunRow


def gallery_path(table: Path, row: RunRow) -> Path:
    """Return the path of the file for the pictures of a run, in the folder ``gallery`` beside the table.

    Args:
        table: Path of the sweep's table.
        row: Row of the run.
    """
    return table.parent / "gallery" / f"{_name(row)}.zip"


def curves_path(table: Path, row: RunRow) -> Path:
    """Return the path of the file for the curves of a run, in the folder ``curves`` beside the table.

    Args:
        table: Path of the sweep's table.
        row: Row of the run.
    """
    return table.parent / "curves" / f"{_name(row)}.csv"


def _name(row: RunRow) -> str:
    names = f"{row.data_set}_{row.category}_{row.model}_{row.shots}"
    digest = hashlib.sha256(row.configuration.encode(errors="surrogateescape")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9-]+', '_', names)[:100]}-{digest}"
