# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""SyntheticDefects: a data module that draws its own images, so that nothing is downloaded.

Example:
    >>> from anomalib_adaptclip.data import SyntheticDefects
    >>> datamodule = SyntheticDefects(category="gear")
    >>> datamodule.prepare_data()
    >>> datamodule.setup()
    >>> batch = next(iter(datamodule.test_dataloader()))
    >>> batch.image.shape, batch.gt_mask.shape
    (torch.Size([32, 3, 256, 256]), torch.Size([32, 256, 256]))
"""

import json
import logging
import shutil
import uuid
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from anomalib.data.datasets.image.mvtecad import MVTecADDataset
from anomalib.data.utils import Split
from anomalib.utils.path import resolve_dataset_root
from numpy.typing import NDArray
from PIL import Image

from anomalib_adaptclip.argument_types import require_types

from .image_data_module import ImageDataModule
from .rendering import CATEGORIES, MIN_IMAGE_SIZE, get_category, render_sample

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1  # raise it whenever the same parameters give other pixels
_MANIFEST = "manifest.json"


class SyntheticDefects(ImageDataModule):
    """Generated images of textures and objects with pixel masks of their defects, laid out like MVTec AD.

    The pixels depend only on ``seed``, ``category``, ``image_size`` and the position of an image in the data set. So
    asking for more images does not change the others, and every machine draws the same images.

    Args:
        root: Folder in which there is, or will be, a folder for each category.
        category: Category to draw, one of `CATEGORIES`.
        num_workers: Worker processes that load images. None by default, because the images are small.
        seed: Seed for drawing the images and for random splits. Another seed draws another product of the same
            category, with other colours and proportions.
        image_size: Height and width in pixels, at least 64.
        num_train_images: Number of normal images to train on or to draw prompts from.
        num_normal_test_images: Number of normal test images.
        num_images_per_defect: Number of test images for each kind of defect of the category.
        **kwargs: Further arguments of `ImageDataModule`.

    Attributes:
        CATEGORIES: Names of all categories.

    Raises:
        ValueError: If the category is unknown, or a number is too small.
    """

    CATEGORIES: ClassVar[tuple[str, ...]] = CATEGORIES

    def __init__(
        self,
        root: Path | str | None = "./datasets/SyntheticDefects",
        category: str = "hex_nut",
        num_workers: int = 0,
        seed: int = 0,
        image_size: int = 256,
        num_train_images: int = 40,
        num_normal_test_images: int = 20,
        num_images_per_defect: int = 10,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        require_types(SyntheticDefects.__init__, locals())
        super().__init__(num_workers=num_workers, seed=seed, **kwargs)
        self.root = resolve_dataset_root(root, "SyntheticDefects")
        self.category = get_category(category).name
        self.parameters = {
            "seed": _at_least("seed", seed, 0),
            "image_size": _at_least("image_size", image_size, MIN_IMAGE_SIZE),
            "num_train_images": _at_least("num_train_images", num_train_images, 1),
            "num_normal_test_images": _at_least("num_normal_test_images", num_normal_test_images, 1),
            "num_images_per_defect": _at_least("num_images_per_defect", num_images_per_defect, 1),
        }

    def prepare_data(self) -> None:
        """Draw the images unless they exist already.

        They appear under ``root / category`` all at once, or not at all if the work is interrupted. Two processes may
        call this at the same time.

        Raises:
            ValueError: If the existing images were drawn with other parameters.
            FileExistsError: If the folder of the category was not made by this class.
        """
        if self._folder.exists():
            self._check_manifest()
            return
        logger.info("Drawing the images of %s into %s.", self.category, self._folder)
        draft = self.root / f".{self.category}-{uuid.uuid4().hex}"
        try:
            self._draw(draft)
            try:
                draft.rename(self._folder)
            except OSError:
                if not self._folder.exists():
                    raise
                self._check_manifest()  # another process was faster
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _setup(self, _stage: str | None = None) -> None:
        """Open the images that `prepare_data` has drawn."""
        if not self._folder.exists():
            msg = f"There are no images in {self._folder}. Call prepare_data() first, or check root."
            raise FileNotFoundError(msg)
        self._check_manifest()
        self.train_data = MVTecADDataset(root=self.root, category=self.category, split=Split.TRAIN)
        self.test_data = MVTecADDataset(root=self.root, category=self.category, split=Split.TEST)

    @property
    def _folder(self) -> Path:
        return self.root / self.category

    @property
    def _manifest(self) -> dict[str, int | str]:
        return {"format_version": FORMAT_VERSION, "category": self.category, **self.parameters}

    def _check_manifest(self) -> None:
        """Raise an error unless the existing images are those that would be drawn."""
        path = self._folder / _MANIFEST
        if not path.is_file():
            msg = f"{self._folder} was not made by SyntheticDefects: it has no {_MANIFEST}. Choose another root."
            raise FileExistsError(msg)
        found = json.loads(path.read_text(encoding="utf-8"))
        differing = [
            f"{name} is {found.get(name)}, asked for {wanted}"
            for name, wanted in self._manifest.items()
            if found.get(name) != wanted
        ]
        if differing:
            msg = (
                f"The images in {self._folder} were drawn with other parameters: {'; '.join(differing)}. "
                "Choose another root, delete that folder, or ask for what it has."
            )
            raise ValueError(msg)

    def _draw(self, folder: Path) -> None:
        """Write all images, masks and the manifest into a new folder."""
        self._draw_series(folder, "train/good", None, self.parameters["num_train_images"])
        self._draw_series(folder, "test/good", None, self.parameters["num_normal_test_images"])
        for defect in get_category(self.category).defects:
            self._draw_series(folder, f"test/{defect}", defect, self.parameters["num_images_per_defect"])
        text = json.dumps(self._manifest, indent=2) + "\n"
        (folder / _MANIFEST).write_text(text, encoding="utf-8")

    def _draw_series(self, folder: Path, series: str, defect: str | None, count: int) -> None:
        """Write ``count`` images, and their masks if they have a defect. anomalib pairs both in the order of names."""
        digits = max(3, len(str(count - 1)))
        for index in range(count):
            sample = render_sample(
                self.category,
                index,
                series=series,
                defect=defect,
                seed=self.parameters["seed"],
                image_size=self.parameters["image_size"],
            )
            _save(sample.image, folder / series / f"{index:0{digits}d}.png")
            if defect is not None:
                _save(sample.mask, folder / "ground_truth" / defect / f"{index:0{digits}d}_mask.png")


def _at_least(name: str, value: int, least: int) -> int:
    if value < least:
        msg = f"{name} must be at least {least}, got {value}."
        raise ValueError(msg)
    return int(value)  # NumPy's numbers are no JSON


def _save(picture: NDArray[np.uint8], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path, compress_level=1)
