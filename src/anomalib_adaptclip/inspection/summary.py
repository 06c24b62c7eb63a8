# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The page of an inspection: all images, the most abnormal first, with verdicts and pictures. It needs no network."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from anomalib_adaptclip.files.atomic import write_atomically
from anomalib_adaptclip.files.templates import templates_of
from anomalib_adaptclip.results.picture_text import percent
from anomalib_adaptclip.version import __version__


class JudgedImage(NamedTuple):
    """An image, what was judged of it, and its picture.

    Attributes:
        name: Path below the folder that was searched.
        score: Anomaly score.
        is_abnormal: The verdict; None without thresholds.
        share: Share of good images that are expected to score as high; None without calibration.
        regions: Number of marked regions.
        picture: Path of its picture, relative to the page; empty if there is none.
    """

    name: str
    score: float
    is_abnormal: bool | None
    share: float | None
    regions: int
    picture: str

    @property
    def verdict(self) -> str:
        """The verdict in a word."""
        return {None: "not judged", True: "abnormal", False: "good"}[self.is_abnormal]

    @property
    def link(self) -> str:
        """The picture as a link."""
        return quote(self.picture)


class Summary(NamedTuple):
    """What a page says of a whole inspection.

    Attributes:
        title: What was inspected.
        result: The result in a sentence.
        remarks: What can and cannot be told, and what was passed over.
        threshold: Threshold of the score; None without.
    """

    title: str
    result: str
    remarks: Sequence[str]
    threshold: float | None


def write_summary(path: Path, summary: Summary, images: Sequence[JudgedImage]) -> None:
    """Write the page, the most abnormal images first.

    Args:
        path: HTML file to make or replace.
        summary: What it says above the images.
        images: Images in any order.
    """
    ordered = sorted(images, key=lambda image: -image.score)
    templates = templates_of("anomalib_adaptclip.inspection")
    templates.filters["percent"] = percent
    page = templates.get_template("summary.html").render(summary=summary, images=ordered, version=__version__)
    write_atomically(path, lambda draft: _write(draft, page))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="replace")  # names of files may not be UTF-8
