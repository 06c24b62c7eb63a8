# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads and writes the file with the pictures of a run: a ZIP archive of small images and ``index.json``."""

import hashlib
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile, ZipInfo

from .run_row import RunRow

INDEX = "index.json"
LEAST_RANGE = 0.01  # smallest range of values for the colours of a map, so that noise does not look like a defect
MIME_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


class Panel(NamedTuple):
    """A small picture.

    Attributes:
        name: Kind of picture: ``"query"``, ``"prompt"``, a map such as ``"visual"`` or ``"fused"``, or ``"mask"``.
        file: File name in the archive, whose suffix names the format.
        content: Content of the file.
        path: Path of the image file that is shown, empty for maps and masks.
        low: Value of a map's darkest pixel, None for other pictures.
        high: Value of a map's brightest pixel, None for other pictures.
    """

    name: str
    file: str
    content: bytes
    path: str = ""
    low: float | None = None
    high: float | None = None


class Pictures(NamedTuple):
    """All pictures of an image under test.

    Attributes:
        rank: Rank of the image: ``"best"``, ``"median"`` or ``"worst"``.
        measure: Measure that the image was ranked by: ``"pixel AP"``, or ``"score"`` if there are no masks.
        quality: Value of that measure, in [0, 1].
        score: Anomaly score of the image, in [0, 1].
        panels: Pictures, in the order in which they are shown.
    """

    rank: str
    measure: str
    quality: float
    score: float
    panels: list[Panel]


def gallery_path(table: Path, row: RunRow) -> Path:
    """Return the path of the file for the pictures of a run, in the folder ``gallery`` beside the table.

    Args:
        table: Path of the sweep's table.
        row: Row of the run.
    """
    names = f"{row.data_set}_{row.category}_{row.model}_{row.shots}"
    digest = hashlib.sha256(row.configuration.encode(errors="surrogateescape")).hexdigest()[:12]
    return table.parent / "gallery" / f"{re.sub(r'[^A-Za-z0-9-]+', '_', names)[:100]}-{digest}.zip"


def pack(pictures: Sequence[Pictures]) -> bytes:
    """Pack pictures into an archive. The same pictures always give the same bytes.

    Args:
        pictures: Pictures of a run.

    Returns:
        Content of the archive.
    """
    index = [entry._asdict() | {"panels": [_without_content(panel) for panel in entry.panels]} for entry in pictures]
    archive = io.BytesIO()
    with ZipFile(archive, "w") as file:  # stored without compression, because images are compressed already
        file.writestr(ZipInfo(INDEX), json.dumps(index, indent=1))
        for panel in {panel.file: panel for entry in pictures for panel in entry.panels}.values():
            file.writestr(ZipInfo(panel.file), panel.content)
    return archive.getvalue()


def _without_content(panel: Panel) -> dict[str, Any]:
    return {name: value for name, value in panel._asdict().items() if name != "content"}


def unpack(path: Path) -> list[Pictures]:
    """Read the pictures of an archive.

    Args:
        path: File with the content that :func:`pack` returned.

    Returns:
        The pictures of the run.

    Raises:
        ValueError: If the file is damaged, or is not such an archive.
    """
    try:
        with ZipFile(path) as file:
            index: list[dict[str, Any]] = json.loads(file.read(INDEX))
            return [_read_pictures(file, entry) for entry in index]
    except Exception as error:  # zipfile raises its own errors, those of zlib, and others on damaged archives
        msg = f"{path} is damaged, or holds no pictures of a run: {error!r}. Remove it, or run again."
        raise ValueError(msg) from error


def _read_pictures(file: ZipFile, entry: dict[str, Any]) -> Pictures:
    pictures = Pictures(**entry | {"panels": [_read_panel(file, panel) for panel in entry["panels"]]})
    _require(all(isinstance(text, str) for text in (pictures.rank, pictures.measure)), entry)
    _require(all(_is_number(value) for value in (pictures.quality, pictures.score)), entry)
    return pictures


def _read_panel(file: ZipFile, panel: dict[str, Any]) -> Panel:
    if Path(panel["file"]).suffix not in MIME_TYPES:
        msg = f"{panel['file']} is not a {' or '.join(MIME_TYPES)} file"
        raise ValueError(msg)
    found = Panel(content=file.read(panel["file"]), **panel)
    _require(all(isinstance(text, str) for text in (found.name, found.path)), panel)
    _require(found.low is found.high is None or (_is_number(found.low) and _is_number(found.high)), panel)
    return found


def _is_number(value: object) -> bool:
    return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]


def _require(holds: bool, part: dict[str, Any]) -> None:
    if not holds:
        msg = f"{INDEX} should hold names and finite numbers, got {str(part)[:200]}"
        raise ValueError(msg)
