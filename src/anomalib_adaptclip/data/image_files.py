# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Image files: listing those of a folder, and reading them one after the other."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from anomalib.data import ImageBatch, ImageItem
from anomalib.data.utils import validate_path
from anomalib.data.utils.image import is_image_file
from torch.utils.data import IterableDataset, get_worker_info

from anomalib_adaptclip.argument_types import require_at_least, require_types
from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.files.image_reader import ImageReader, UnreadableImageError

logger = logging.getLogger(__name__)

Unreadable = Literal["error", "skip"]


class ImageFilesDataset(IterableDataset[ImageItem]):
    """A data set that reads image files one after the other.

    The workers of a data loader share the files. Other processes do not: each must be given its own files.

    Args:
        files: Image files.
        transform: Transform of each image ``(3, H, W)`` in [0, 1]. The images of a batch must have the same size.
        unreadable: What to do with a file that is damaged or not an image: raise an ``"error"``, or ``"skip"`` it with
            a warning that names it.
        reader: Reads the files.

    Raises:
        ValueError: If ``unreadable`` is neither; while reading, if a file cannot be read. The message names it.
        OSError: While reading, if the machine is at fault. No image is skipped for it.
    """

    collate_fn = staticmethod(ImageBatch.collate)

    def __init__(
        self,
        files: Sequence[str | Path],
        transform: Callable[[torch.Tensor], torch.Tensor] | None = None,
        unreadable: Unreadable = "error",
        reader: ImageReader | None = None,
    ) -> None:
        require_types(ImageFilesDataset.__init__, locals())
        require_choice("unreadable", unreadable, Unreadable)
        self.files = list(map(str, files))
        self.transform = transform
        self.unreadable = unreadable
        self.reader = reader or ImageReader()

    def __iter__(self) -> Iterator[ImageItem]:
        """Iterate over the images that can be read, with their paths."""
        worker = get_worker_info()
        first, step = (worker.id, worker.num_workers) if worker else (0, 1)
        for path in self.files[first::step]:
            image = self._read(path)
            if image is not None:
                yield ImageItem(image=image if self.transform is None else self.transform(image), image_path=path)

    def _read(self, path: str) -> torch.Tensor | None:
        try:
            return self.reader.read(path)
        except UnreadableImageError as error:
            if self.unreadable == "error":
                msg = f"{error} Or let such files be skipped: unreadable=skip."
                raise UnreadableImageError(msg) from error
            logger.warning("Skipped: %s", error)
            return None


def list_image_files(path: Path | str) -> list[str]:
    """List the images of a folder and its subfolders, sorted by name; or a single image.

    Broken links are listed too: reading them raises the error.

    Returns:
        Absolute paths. Links to folders are not resolved, because their names may be those of categories.

    Raises:
        FileNotFoundError: If there is no such folder or file.
        ValueError: If there are no images, or the file is not an image.
    """
    require_types(list_image_files, locals())
    path = Path(path)
    if not path.exists():
        msg = f"There is no folder or image {path}. Check the path."
        raise FileNotFoundError(msg)
    validate_path(path)  # permissions
    path = path.resolve() if ".." in path.parts else path.absolute()
    files = [file for file in path.glob("**/*") if not file.is_dir()] if path.is_dir() else [path]
    images = sorted(filter(is_image_file, files))
    if not images:
        msg = f"Found 0 images in {path}: no files *.png, *.jpg and so on. Check the path."
        raise ValueError(msg)
    return list(map(str, images))


def require_batch_size(batch_size: int) -> int:
    """Check that a batch has at least one image.

    Raises:
        ValueError: If it has none.
    """
    require_at_least(1, batch_size=batch_size)
    return batch_size


def enough_workers(num_workers: int, images: int, batch_size: int) -> int:
    """Bound a number of processes that read images: more than there are batches would only cost their start.

    Args:
        num_workers: Processes that are wanted; 0 reads in this one.
        images: Images to read.
        batch_size: Images in a batch.

    Raises:
        ValueError: If the number is negative.
    """
    require_at_least(0, num_workers=num_workers)
    return min(int(num_workers), math.ceil(images / batch_size))
