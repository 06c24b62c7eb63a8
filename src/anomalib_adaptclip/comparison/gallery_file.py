# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The file with the pictures of a run: a ZIP archive of small images and ``index.json``, beside the table."""

import hashlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile, ZipInfo

from .run_row import RunRow

INDEX = "index.json"
LEAST_RANGE = 0.01  # of a map's colours, so that noise does not look like a defect
MIME_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


class Panel(NamedTuple):
    """A small picture.

    Attributes:
        name: What it shows: ``"query"``, ``"prompt"``, a map such as ``"visual"`` or ``"fused"``, or ``"mask"``.
        file: Its name in the archive; the suffix tells its format.
        content: Its bytes.
        path: Of the image file that it shows, empty for maps.
        low: Value of a map's darkest pixel, None for what is no map.
        high: Value of its brightest pixel.
    """

    name: str
    file: str
    content: bytes
    path: str = ""
    low: float | None = None
    high: float | None = None


class Pictures(NamedTuple):
    """An image under test, and what was made of it.

    Attributes:
        rank: ``"best"``, ``"median"`` or ``"worst"``.
        measure: By which it was ranked: ``"pixel AP"``, or ``"score"`` where there are no masks.
        quality: Its value, in [0, 1].
        score: Of the image, in [0, 1].
        panels: Pictures, in order.
    """

    rank: str
    measure: str
    quality: float
    score: float
    panels: list[Panel]


def gallery_path(table: Path, row: RunRow) -> Path:
    """File for the pictures of a run.

    Args:
        table: Of the sweep.
        row: Of the run.
    """
    names = f"{row.data_set}_{row.category}_{row.model}_{row.shots}"
    digest = hashlib.sha256(row.configuration.encode(errors="surrogateescape")).hexdigest()[:12]
    return table.parent / "gallery" / f"{re.sub(r'[^A-Za-z0-9-]+', '_', names)[:100]}-{digest}.zip"


def pack(pictures: Sequence[Pictures]) -> bytes:
    """Content of an archive; the same pictures give the same bytes."""
    index = [entry._asdict() | {"panels": [_without_content(panel) for panel in entry.panels]} for entry in pictures]
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:  # images are compressed already
        file.writestr(ZipInfo(INDEX), json.dumps(index, indent=1))
        for panel in {panel.file: panel for entry in pictures for panel in entry.panels}.values():
            file.writestr(ZipInfo(panel.file), panel.content)
    return archive.getvalue()


def _without_content(panel: Panel) -> dict[str, Any]:
    return {name: value for name, value in panel._asdict().items() if name != "content"}


def unpack(path: Path) -> list[Pictures]:
    """Read an archive.

    Args:
        path: File of :func:`pack`.

    Raises:
        ValueError: If it is damaged, or something else.
    """
    try:
        with ZipFile(path) as file:
            index: list[dict[str, Any]] = json.loads(file.read(INDEX))
            return [
                Pictures(**entry | {"panels": [_read_panel(file, panel) for panel in entry["panels"]]})
                for entry in index
            ]
    except (BadZipFile, KeyError, TypeError, ValueError, OSError) as error:
        msg = f"{path} is damaged, or holds no pictures of a run: {error!r}. Remove it, or run again."
        raise ValueError(msg) from error


def _read_panel(file: ZipFile, panel: dict[str, Any]) -> Panel:
    if Path(panel["file"]).suffix not in MIME_TYPES:
        msg = f"{panel['file']} is no {' or '.join(MIME_TYPES)}"
        raise ValueError(msg)
    return Panel(content=file.read(panel["file"]), **panel)
