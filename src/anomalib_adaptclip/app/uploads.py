# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Files that a browser sends: how many, under which names, and when they are removed."""

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from anomalib.data.utils.image import is_image_file

from anomalib_adaptclip.files.image_reader import ImageReader, UnreadableImageError
from anomalib_adaptclip.results.picture_folder import numbered

MOST_GOOD, MOST_NEW = 100, 200  # photos at a time; maps of the latter stay in memory
MOST_BYTES = 512 * 1024**2  # of one file


def require_number(what: str, files: Sequence[object], most: int) -> None:
    """Check that there are not too many files.

    Raises:
        ValueError: If there are.
    """
    if len(files) > most:
        msg = f"At most {most} {what} can be taken at a time; got {len(files)}. Take some away, or use `inspect`."
        raise ValueError(msg)


def take(files: Iterable[Path], folder: Path) -> list[Path]:
    """Put files into a folder under their own names, numbered where two have the same.

    The browser's copies may be removed then.

    Args:
        files: Files on the same disk, or another.
        folder: Folder to make or add to.

    Returns:
        The new files, in order.

    Raises:
        FileNotFoundError: If one has gone.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return [_copied(file, folder) for file in files]


def _copied(file: Path, folder: Path) -> Path:
    if not file.exists():
        msg = (
            f"{file.name} is not there any more: the page was away for a while. Load it anew, and drop the files again."
        )
        raise FileNotFoundError(msg)
    target = next(path for path in numbered(folder / file.name) if not path.exists())
    try:
        os.link(file, target)  # takes no space
    except OSError:
        shutil.copyfile(file, target)
    return target


def sorted_out(files: Iterable[Path], reader: ImageReader) -> tuple[list[Path], list[str]]:
    """Part files that can be read as images from others.

    Args:
        files: Files.
        reader: Reads them.

    Returns:
        Those that can be read, and what is wrong with each other one, by its name.
    """
    found = [(file, _fault(file, reader)) for file in files]
    return [file for file, fault in found if not fault], [fault for _, fault in found if fault]


def _fault(file: Path, reader: ImageReader) -> str:
    try:
        require_image_name(file)
        reader.read(file)
    except UnreadableImageError as error:
        return fault_of(file, error)
    return ""


def require_image_name(file: Path) -> None:
    """Check that a file is an image by its name.

    Raises:
        UnreadableImageError: If it is not.
    """
    if not is_image_file(file):
        msg = f"Cannot read the image {file}: its name does not end in .png, .jpg or another kind of image. Rename it."
        raise UnreadableImageError(msg)


def fault_of(file: Path, error: Exception) -> str:
    """What is wrong with a file, by the name that its user knows."""
    return str(error).replace(str(file), file.name)


def remove(files: Iterable[Path]) -> None:
    """Remove files, and the folders that held nothing else."""
    for file in files:
        file.unlink(missing_ok=True)
        with suppress(OSError):
            file.parent.rmdir()
