# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AbnormalFolder: a data module for data sets without normal images, such as polyps in every image."""

from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import torch
from anomalib.data import AnomalibDataset, ImageItem
from anomalib.data.utils import LabelName, Split
from anomalib.data.utils.image import is_image_file

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.files.image_reader import ImageReader

from .image_data_module import FolderDataModule

_LEAST_GREY = 127.5 / 255  # masks may be JPEG files, whose black is not quite 0


class AbnormalFolder(FolderDataModule):
    """A folder of images that are all abnormal, and a folder of their masks.

    The train split and the test split both hold all images, each labelled abnormal. The train split serves few-shot
    prompts: where there are no normal images, the paper draws the prompts from the test images, and AdaptCLIP does so
    too. Image metrics such as AUROC are undefined for a single class, so look at the pixel metrics.

    Args:
        name: Name of the data set, for the folder of the results.
        root: Folder of the data set.
        image_dir: Folder of the images, below ``root``.
        mask_dir: Folder of the masks, below ``root``. A mask has the name of its image up to the extension; pixels
            brighter than half are abnormal.
        **kwargs: Further arguments of `ImageDataModule`, except those of the test split.

    Attributes:
        prompts_are_abnormal: Tells AdaptCLIP that it may draw prompts that are labelled abnormal.
    """

    prompts_are_abnormal: ClassVar[bool] = True

    def __init__(
        self,
        name: str,
        root: Path | str,
        image_dir: str = "images",
        mask_dir: str = "masks",
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        require_types(AbnormalFolder.__init__, locals())
        super().__init__(name, root, **kwargs)
        self.image_dir = image_dir
        self.mask_dir = mask_dir

    def _setup(self, _stage: str | None = None) -> None:
        folders = self.root / self.image_dir, self.root / self.mask_dir
        self.train_data = AbnormalFolderDataset(*folders, Split.TRAIN)
        self.test_data = AbnormalFolderDataset(*folders, Split.TEST)


class AbnormalFolderDataset(AnomalibDataset):
    """Abnormal images with their masks.

    Args:
        images: Folder of the images.
        masks: Folder of the masks, named like the images up to the extension.
        split: Name of the split; the images are the same in each.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are no images, or one has no mask.
    """

    def __init__(self, images: Path, masks: Path, split: Split) -> None:
        super().__init__()
        self.reader = ImageReader()
        for folder in (images, masks):
            if not folder.is_dir():
                msg = f"There is no folder {folder}."
                raise FileNotFoundError(msg)
        mask_of = {path.stem: str(path) for path in masks.iterdir() if is_image_file(path)}
        files = sorted(path for path in images.iterdir() if is_image_file(path))
        unmasked = [path.name for path in files if path.stem not in mask_of]
        if unmasked or not files:
            found = f"{images} holds {len(files)} images, and {len(unmasked)} of them have no mask in {masks}"
            msg = f"{found}: {unmasked[:5]}. Add what is missing, or check root, image_dir and mask_dir."
            raise ValueError(msg)
        self.samples = pd.DataFrame(
            {
                "image_path": [str(path) for path in files],
                "mask_path": [mask_of[path.stem] for path in files],
                "label_index": int(LabelName.ABNORMAL),
                "split": split.value,
            }
        )
        self.samples.attrs["task"] = "segmentation"

    def __getitem__(self, index: int) -> ImageItem:
        """Read an image ``(3, H, W)`` and its mask ``(H, W)``."""
        sample = self.samples.iloc[index]
        image = self.reader.read(sample.image_path)
        mask = self.reader.read_mask(sample.mask_path, _LEAST_GREY)
        if self.augmentations:
            image, mask = self.augmentations(image, mask)
        return ImageItem(
            image=image,
            gt_mask=mask,
            gt_label=torch.tensor(sample.label_index),
            image_path=sample.image_path,
            mask_path=sample.mask_path,
        )
