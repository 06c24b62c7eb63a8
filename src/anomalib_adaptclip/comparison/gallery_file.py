# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads and writes the file with the pictures of a run: a ZIP archive of small images and two lists of them.

``index.json`` lists AdaptCLIP's best, median and worst images, ``same.json`` those that all models of a sweep show.
"""

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import ZipFile, ZipInfo

INDEX = "index.json"
SAME = "same.json"
LEAST_RANGE = 0.01  # smallest range of values for the colours of a map, so that noise does not look like a defect
MIME_TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


class Panel(NamedTuple):
    """A small picture.

    Attributes:
        name: Kind of picture: ``"query"``, ``"prompt"``, a map such as ``"visual"`` or ``"fused"``, or ``"mask"``.
        file: File name in the archive, whose suffix names the format.
        content: Content of the file.
        path: Path of the image file that is shown, empty for maps and masks.
        low: Value of a map's darkest colour, None for other pictures.
        high: Value of a map's brightest colour, None for other pictures.
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


class SameImage(NamedTuple):
    """An image under test that all models of a sweep show, as one of them sees it.

    Attributes:
        path: Path of the image file in its data set.
        digest: SHA-256 of the image file, so that another image of the same path is not taken for it.
        is_abnormal: Whether the image is abnormal.
        score: Anomaly score of the image, as the model returns it.
        good_below: Number of good images under test with a lower score.
        good: Number of good images under test.
        panels: The image, its mask and its map; a model may lack the map, and a data set the mask.
    """

    path: str
    digest: str
    is_abnormal: bool
    score: float
    good_below: int
    good: int
    panels: list[Panel]


def pack(pictures: Sequence[Pictures], same: Sequence[SameImage] = ()) -> bytes:
    """Pack pictures into an archive. The same pictures always give the same bytes.

    Args:
        pictures: Pictures of AdaptCLIP's best, median and worst images.
        same: Images that all models show.

    Returns:
        Content of the archive.
    """
    archive = io.BytesIO()
    entries: list[Pictures | SameImage] = [*pictures, *same]
    with ZipFile(archive, "w") as file:  # stored without compression, because images are compressed already
        for name, part in ((INDEX, pictures), (SAME, same)):
            file.writestr(ZipInfo(name), json.dumps([_without_contents(entry) for entry in part], indent=1))
        for panel in {panel.file: panel for entry in entries for panel in entry.panels}.values():
            file.writestr(ZipInfo(panel.file), panel.content)
    return archive.getvalue()


def _without_contents(entry: Pictures | SameImage) -> dict[str, Any]:
    panels = [panel._asdict() for panel in entry.panels]
    return entry._asdict() | {"panels": [{key: panel[key] for key in panel if key != "content"} for panel in panels]}


def unpack(path: Path) -> tuple[list[Pictures], list[SameImage]]:
    """Read the pictures of an archive.

    Args:
        path: File with the content that :func:`pack` returned.

    Returns:
        Pictures of AdaptCLIP's best, median and worst images, and images that all models show.

    Raises:
        ValueError: If the file is damaged, or is not such an archive.
    """
    try:
        with ZipFile(path) as file:
            pictures = [_read_pictures(file, entry) for entry in json.loads(file.read(INDEX))]
            return pictures, [_read_same(file, entry) for entry in json.loads(file.read(SAME))]
    except Exception as error:  # zipfile raises its own errors, those of zlib, and others on damaged archives
        msg = f"{path} is damaged, or holds no pictures of a run: {error!r}. Remove it, or run again."
        raise ValueError(msg) from error


def _read_pictures(file: ZipFile, entry: dict[str, Any]) -> Pictures:
    pictures = Pictures(**entry | {"panels": [_read_panel(file, panel) for panel in entry["panels"]]})
    _require(all(isinstance(text, str) for text in (pictures.rank, pictures.measure)), entry)
    _require(all(_is_number(value) for value in (pictures.quality, pictures.score)), entry)
    return pictures


def _read_same(file: ZipFile, entry: dict[str, Any]) -> SameImage:
    image = SameImage(**entry | {"panels": [_read_panel(file, panel) for panel in entry["panels"]]})
    _require(all(isinstance(text, str) for text in (image.path, image.digest)), entry)
    _require(isinstance(entry["is_abnormal"], bool) and _is_number(image.score), entry)
    _require(all(isinstance(entry[name], int) for name in ("good_below", "good")), entry)
    return image


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
        msg = f"{INDEX} and {SAME} should hold names and finite numbers, got {str(part)[:200]}"
        raise ValueError(msg)
