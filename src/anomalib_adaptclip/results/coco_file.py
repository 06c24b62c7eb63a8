# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Regions in the format of COCO's annotations: one JSON file with images, boxes and polygons.

During a run a draft beside it, ``NAME.part``, has a line for each image.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from anomalib_adaptclip.files.atomic import cannot_write, require_file, write_atomically

from .image_result import ImageResult
from .picture_folder import absolute
from .regions import Region

CATEGORY = {"id": 1, "name": "anomaly", "supercategory": ""}


class CocoFile:
    """Writes regions as COCO's annotations.

    Args:
        path: File to create or replace.
        roots: Folders that images come from; the first that holds an image is left out of its ``file_name``.
        earlier: Images of a run to go on with, whose entries are kept.

    Raises:
        ValueError: If there is something else than a file, or entries of the run to go on with are lost.
    """

    def __init__(self, path: Path, roots: Sequence[Path], earlier: Collection[str]) -> None:
        self.path = path
        require_file(path)
        self._roots = roots
        self._draft = path.with_name(f"{path.name}.part")
        self._kept = _kept_entries(self._draft, path, earlier) if earlier else None
        self._file: IO[str] | None = None

    def _open(self) -> IO[str]:
        """Open the draft, not before the first entry, as the table does."""
        if self._file is None:
            kept = self._kept
            write_atomically(self._draft, lambda draft: _write_lines(draft, kept or []))
            self._kept = None
            self._file = self._draft.open("a", encoding="ascii")
        return self._file

    def write(self, result: ImageResult) -> None:
        """Append the entry of an image. It is in the draft when this returns.

        Raises:
            OSError: If it cannot be written.
        """
        line = _line(_entry(result, self._roots))
        try:
            file = self._open()
            file.write(line)
            file.flush()
        except OSError as error:
            raise cannot_write(self._draft, error) from error

    def finish(self) -> None:
        """Turn the draft into the file."""
        self._open().close()
        write_atomically(self.path, lambda path: _write_coco(path, self._draft))
        self._draft.unlink()

    def abandon(self) -> None:
        """Close the draft, which stays."""
        if self._file is not None:
            with suppress(OSError):  # what is left to write on a full disk
                self._file.close()


def _entry(result: ImageResult, roots: Sequence[Path]) -> dict[str, Any]:
    height, width = result.geometry.size
    path = absolute(result.path)
    root = next((root for root in roots if root in path.parents), None)
    image = {
        "file_name": (path.relative_to(root) if root else path).as_posix(),
        "width": width,
        "height": height,
        "path": result.path,
        "score": result.score,
        "label": result.label,
    }
    return {"image": image, "annotations": [_annotation(region) for region in result.regions]}


def _annotation(region: Region) -> dict[str, Any]:
    left, top, right, bottom = region.box
    return {
        "category_id": CATEGORY["id"],
        "bbox": [left, top, right - left, bottom - top],
        "area": region.area,
        "segmentation": region.polygons,
        "iscrowd": 0,
        "score": region.score,
    }


def _write_coco(path: Path, draft: Path) -> None:
    """Number images and annotations, entry by entry: once for the images, once for the annotations."""
    with path.open("w", encoding="ascii") as file:
        file.write(f'{{"categories": {json.dumps([CATEGORY])},\n"images": [')
        _write_list(file, ({"id": number, **entry["image"]} for number, entry in enumerate(_entries(draft), start=1)))
        file.write('],\n"annotations": [')
        _write_list(file, _numbered(_entries(draft)))
        file.write("]}\n")


def _numbered(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, entry in enumerate(entries, start=1):
        for annotation in entry["annotations"]:
            number += 1
            yield {"id": number, "image_id": image, **annotation}


def _write_list(file: IO[str], items: Iterable[dict[str, Any]]) -> None:
    for index, item in enumerate(items):
        file.write(f"{',' if index else ''}\n{json.dumps(item)}")


def _line(entry: dict[str, Any]) -> str:
    return f"{json.dumps(entry)}\n"


def _write_lines(path: Path, entries: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="ascii") as file:
        file.writelines(map(_line, entries))


def _entries(draft: Path) -> Iterator[dict[str, Any]]:
    """Entries of a draft, without an incomplete last one, which was being written when its run was killed."""
    with draft.open(encoding="ascii") as lines:
        yield from (json.loads(line) for line in lines if line.endswith("\n"))


def _kept_entries(draft: Path, path: Path, earlier: Collection[str]) -> list[dict[str, Any]]:
    """Entries of the images that have a row in the table, out of the draft or the finished file."""
    try:
        entries = _entries(draft) if draft.exists() else _entries_of_coco(path)
        kept = [entry for entry in entries if entry["image"]["path"] in earlier]
    except (OSError, ValueError, LookupError, TypeError) as error:
        msg = f"{path}, of the run to go on with, cannot be read ({error}). Start anew without resume."
        raise ValueError(msg) from error
    if len(kept) < len(earlier):
        msg = f"{path} lacks images of the run to go on with. Start anew without resume."
        raise ValueError(msg)
    return kept


def _entries_of_coco(path: Path) -> Iterator[dict[str, Any]]:
    content = json.loads(path.read_text(encoding="ascii"))
    annotations: dict[int, list[Any]] = {image["id"]: [] for image in content["images"]}
    for annotation in content["annotations"]:
        annotation.pop("id")
        annotations[annotation.pop("image_id")].append(annotation)
    for image in content["images"]:
        yield {"annotations": annotations[image.pop("id")], "image": image}
