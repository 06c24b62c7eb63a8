# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Masks and maps as image files, one for each image, as large as its file, below a folder of their own."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from anomalib_adaptclip.files.atomic import write_atomically

from .image_result import ImageResult
from .picture_folder import UNUSABLE, numbered, picture_name, plain_name
from .regions import mask_of

Draw = Callable[[ImageResult], Image.Image]


class SavedImages:
    """Writes an image for each prediction, at the path that its image has below its folder; none replaces another.

    Args:
        folder: Where to write; where a run before wrote, ``folder-2`` and so on.
        suffix: Of the files: ``.png`` or ``.tiff``.
        draw: Makes the image.
        roots: Folders that images come from; the first that holds an image is left out of its path.
        earlier: Images that a run to go on with has written already, into the last of the folders.
        is_resumed: Whether there is such a run.

    Attributes:
        path: Folder that is written to.

    Raises:
        ValueError: If the folder of the run to go on with is lost.
    """

    def __init__(
        self,
        folder: Path,
        suffix: str,
        draw: Draw,
        roots: Sequence[Path],
        earlier: Collection[str],
        *,
        is_resumed: bool,
    ) -> None:
        self.path = _last_folder(folder) if is_resumed else next(path for path in numbered(folder) if _is_free(path))
        if earlier and not self.path.is_dir():
            msg = f"{folder}, with the files of the run to go on with, is lost. Start anew without resume."
            raise ValueError(msg)
        self._suffix, self._draw, self._roots = suffix, draw, roots
        self._taken: set[int] = set()  # hashes, for there may be millions
        for path in sorted(earlier):
            self._name(path)

    def _name(self, image_path: str) -> Path:
        """Name that no other image has, also where upper and lower case are the same."""
        wanted = picture_name(image_path, self._roots).with_suffix(self._suffix)
        keys = ((name, hash(str(name).casefold())) for name in numbered(wanted))
        name, key = next((name, key) for name, key in keys if key not in self._taken)
        self._taken.add(key)
        return name

    def write(self, result: ImageResult) -> None:
        """Write the image of a prediction.

        Raises:
            ValueError: If the prediction lacks what is drawn.
            OSError: If it cannot be written.
        """
        image, name = self._draw(result), self._name(result.path)
        try:
            self._save(image, name)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and getattr(error.__cause__, "errno", None) not in UNUSABLE:
                raise
            self._save(image, plain_name(name).with_suffix(self._suffix))

    def _save(self, image: Image.Image, name: Path) -> None:
        kind = "PNG" if self._suffix == ".png" else "TIFF"
        write_atomically(self.path / name, lambda file: image.save(file, kind))

    def finish(self) -> None:
        """Do nothing: all files are complete."""

    abandon = finish


def draw_mask(result: ImageResult) -> Image.Image:
    """Mask, 255 for abnormal pixels and 0 for the others.

    Raises:
        ValueError: If the prediction has none.
    """
    if result.mask is None:
        msg = "There are no masks to save, for want of thresholds. Use anomalib's post-processor, or save no masks."
        raise ValueError(msg)
    return Image.fromarray(mask_of(result.regions, result.geometry.size))


def draw_map(result: ImageResult) -> Image.Image:
    """Raw map as floats; NaN for pixels that the model did not see.

    Raises:
        ValueError: If the prediction has none.
    """
    if result.raw_map is None:
        msg = "There are no raw maps to save. Use anomalib's post-processor or none, or save no maps."
        raise ValueError(msg)
    return Image.fromarray(result.geometry.to_file(result.raw_map, outside=float("nan")).numpy().astype(np.float32))


def _last_folder(wanted: Path) -> Path:
    last = wanted
    for folder in numbered(wanted):
        if not folder.exists():
            return last
        last = folder
    return last


def _is_free(folder: Path) -> bool:
    return not folder.exists() or (folder.is_dir() and not any(folder.iterdir()))
