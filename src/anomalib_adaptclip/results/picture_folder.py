# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A folder of pictures, one for each image, named as the images are; no picture replaces another."""

import errno
import io
import os
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path

from PIL import Image

# Names that the file system does not take: too long, of forbidden characters, or below what is a file.
UNUSABLE = {errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTDIR, errno.EEXIST}
_COMPRESSION = 3  # of PNG: a third of the time of the usual 6, and files a twentieth larger


class PictureFolder:
    """Writes pictures below a folder, at the paths that their images have below theirs.

    Files are created exclusively, so that several processes may write to a folder, and file systems that take upper
    and lower case for the same lose nothing.

    Args:
        folder: Where to write.
        roots: Folders that images come from; the first that holds an image is left out of its picture's path.

    Attributes:
        written: Number of pictures so far.
    """

    def __init__(self, folder: Path, roots: Sequence[Path]) -> None:
        self.folder = folder
        self.written = 0
        self._roots = roots
        self._pathless = count(1)

    def save(self, picture: Image.Image, image_path: str | None) -> Path:
        """Write a picture as PNG.

        Args:
            picture: Picture of an image.
            image_path: Path of the image; None if it has none, and the picture is numbered.

        Returns:
            The picture's file.

        Raises:
            OSError: If it cannot be written.
        """
        content = io.BytesIO()
        picture.save(content, "PNG", compress_level=_COMPRESSION)
        name = picture_name(image_path, self._roots) if image_path else Path(f"image-{next(self._pathless)}.png")
        try:
            file = self._write(name, content.getvalue())
        except OSError as error:
            msg = (
                f"The picture {str(self.folder / name)!r} cannot be written: {error.strerror or error}. Free space, "
                "check the folder's permissions, or do without pictures: visualizer=False, --model.visualizer false."
            )
            raise OSError(msg) from error
        self.written += 1
        return file

    def _write(self, name: Path, content: bytes) -> Path:
        try:
            return write_new(self.folder / name, content)
        except OSError as error:
            if error.errno not in UNUSABLE:
                raise
            return write_new(self.folder / plain_name(name), content)


def new_folder(wanted: Path) -> Path:
    """Create a folder for the pictures of a run: the wanted one, or ``wanted-2`` and so on where others hold files."""
    return next(folder for folder in numbered(wanted) if _is_empty(folder))


def _is_empty(folder: Path) -> bool:
    folder.mkdir(parents=True, exist_ok=True)
    return not any(folder.iterdir())


def write_new(wanted: Path, content: bytes) -> Path:
    """Write a file that was not there, under the wanted name or one with a number: ``name-2.png`` and so on.

    Returns:
        The file. It is removed if it cannot be written whole.
    """
    wanted.parent.mkdir(parents=True, exist_ok=True)
    file = next(path for path in numbered(wanted) if _reserve(path))
    try:
        file.write_bytes(content)
    except BaseException:
        file.unlink()
        raise
    return file


def _reserve(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def numbered(path: Path) -> Iterator[Path]:
    """The path, and then the same with numbers from 2 on."""
    yield path
    yield from (path.with_name(f"{path.stem}-{number}{path.suffix}") for number in count(2))


def picture_name(image_path: str, roots: Sequence[Path]) -> Path:
    """Name the picture of an image: its path below the first root that holds it, else the whole path.

    Args:
        image_path: Path of an image.
        roots: Absolute folders.

    Returns:
        A relative path without ``..``, which ends in ``.png``: ``a/0.png`` stays, ``a/0.jpg`` becomes ``a/0.jpg.png``.
    """
    path = absolute(image_path)
    root = next((root for root in roots if root in path.parents), Path(path.anchor))
    name = path.relative_to(root)
    return name if name.suffix == ".png" else name.with_name(f"{name.name}.png")


def shown_name(image_path: str | None, roots: Sequence[Path]) -> str:
    """What an image is called in its picture: its path below the first root that holds it, for others to read too."""
    return picture_name(image_path, roots).with_name(Path(image_path).name).as_posix() if image_path else ""


def absolute(path: str | Path) -> Path:
    """The absolute path without ``..``. Links stay, for their names are those that the user knows."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def plain_name(name: Path) -> Path:
    """A name that any file system takes: letters, digits and the hash of the whole name, without folders."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "_", name.stem)[:40]
    return Path(f"{readable}-{sha256(os.fsencode(name)).hexdigest()[:16]}.png")
