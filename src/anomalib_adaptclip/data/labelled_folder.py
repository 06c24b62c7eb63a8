# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""LabelledFolder: a data module for the images of one product, good and bad, with masks of all, some or none."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from anomalib.data import AnomalibDataset
from anomalib.data.utils import LabelName, Split

from anomalib_adaptclip.argument_types import require_shares, require_types

from .image_data_module import FolderDataModule
from .image_files import list_image_files
from .messages import abbreviate

MASKS = "masks"
_SEED = 10


class Parts(NamedTuple):
    """Image files in parts that share none.

    Attributes:
        train: Normal images for prompts.
        normal: Normal test images.
        abnormal: Abnormal test images.
        held_out_normal: Normal images that were set aside.
        held_out_abnormal: Abnormal images that were set aside.
    """

    train: list[str]
    normal: list[str]
    abnormal: list[str]
    held_out_normal: list[str]
    held_out_abnormal: list[str]


class LabelledFolder(FolderDataModule):
    """A folder with one folder of good images, one of bad ones, and perhaps one of masks. All may have subfolders.

    Unlike anomalib's `Folder` it takes masks of some images only, and sets images aside.

    Args:
        name: Name of the data set, for the folder of the results.
        root: Folder of the data set.
        normal_dir: Folder of the good images, below ``root``.
        abnormal_dir: Folder of the bad ones, below ``root``.
        mask_dir: Folder of the masks, below ``root``; the usual one may be absent. A mask has the path of its image, up
            to the extension, with or without ``_mask``.
        normal_split_ratio: Share of the good images that are test images, above 0 and below 1. The others are train
            images, which serve as prompts.
        held_out_ratio: Share of good and bad images to set aside, at least 0 and below 1. They are in no split.
        held_out: Test on the images that were set aside. The train split stays the same.
        seed: Seed for all draws.
        **kwargs: Further arguments of `ImageDataModule`, except those of the test split.

    Raises:
        ValueError: If an argument is out of range.
    """

    def __init__(
        self,
        name: str,
        root: Path | str,
        normal_dir: str = "good",
        abnormal_dir: str = "bad",
        mask_dir: str = MASKS,
        normal_split_ratio: float = 0.5,
        held_out_ratio: float = 0.0,
        held_out: bool = False,
        seed: int | None = None,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        require_types(LabelledFolder.__init__, locals())
        require_shares(normal_split_ratio=normal_split_ratio, held_out_ratio=held_out_ratio)
        if normal_split_ratio in {0, 1} or held_out_ratio == 1:
            msg = (
                "Each part needs images: normal_split_ratio must be between 0 and 1 and held_out_ratio less than 1; "
                f"got {normal_split_ratio} and {held_out_ratio}."
            )
            raise ValueError(msg)
        if held_out and not held_out_ratio:
            msg = "held_out tests on what held_out_ratio sets aside, and that is nothing. Give both, or neither."
            raise ValueError(msg)
        super().__init__(name, root, seed=seed, **kwargs)
        self.folders = (self.root / normal_dir, self.root / abnormal_dir, self.root / mask_dir)
        self.normal_split_ratio = normal_split_ratio
        self.held_out_ratio = held_out_ratio
        self.held_out = held_out

    def _setup(self, _stage: str | None = None) -> None:
        normal, abnormal, masks = self.folders
        files = list_image_files(normal), list_image_files(abnormal)
        mask_of = find_masks(files[1], abnormal, masks)
        seed = _SEED if self.seed is None else self.seed
        parts = draw_parts(*files, self.normal_split_ratio, self.held_out_ratio, seed)
        tested = (parts.held_out_normal, parts.held_out_abnormal) if self.held_out else (parts.normal, parts.abnormal)
        self.train_data = LabelledDataset(parts.train, [], {}, Split.TRAIN)
        self.test_data = LabelledDataset(*tested, mask_of, Split.TEST)

    def _create_test_split(self) -> None:
        """It is there, with its normal images."""


class LabelledDataset(AnomalibDataset):
    """Images with their labels, and with masks if all abnormal ones have some.

    Args:
        normal: Files of normal images.
        abnormal: Files of abnormal images.
        mask_of: Masks by abnormal image.
        split: Name of the split.
    """

    def __init__(self, normal: Sequence[str], abnormal: Sequence[str], mask_of: dict[str, str], split: Split) -> None:
        super().__init__()
        self.samples = pd.DataFrame(
            {
                "image_path": [*normal, *abnormal],
                "mask_path": [*("" for _ in normal), *(mask_of.get(path, "") for path in abnormal)],
                "label_index": [int(LabelName.NORMAL)] * len(normal) + [int(LabelName.ABNORMAL)] * len(abnormal),
                "split": split.value,
            }
        )
        has_masks = bool(mask_of) and all(path in mask_of for path in abnormal)
        self.samples.attrs["task"] = "segmentation" if has_masks else "classification"


def draw_parts(
    normal: Sequence[str], abnormal: Sequence[str], normal_split_ratio: float, held_out_ratio: float, seed: int
) -> Parts:
    """Draw which images are test images, prompts, or set aside. No part that is wanted stays empty.

    Args:
        normal: Files of normal images.
        abnormal: Files of abnormal images.
        normal_split_ratio: Share of the normal images, of those that are not set aside, that are test images.
        held_out_ratio: Share of normal and of abnormal images to set aside.
        seed: Seed for the draws.

    Raises:
        ValueError: If there are too few images.
    """
    least = (3, 2) if held_out_ratio else (2, 1)
    if len(normal) < least[0] or len(abnormal) < least[1]:
        msg = (
            f"A part of the images would be empty: expected at least {least[0]} good and {least[1]} bad ones, and "
            f"there are {len(normal)} and {len(abnormal)}. Add images."
        )
        raise ValueError(msg)
    generator = torch.Generator().manual_seed(seed)
    held_out_normal, others = _draw(normal, held_out_ratio, 2, generator)
    held_out_abnormal, tested = _draw(abnormal, held_out_ratio, 1, generator)
    test, train = _draw(others, normal_split_ratio, 1, generator)
    return Parts(train, test, tested, held_out_normal, held_out_abnormal)


def _draw(files: Sequence[str], ratio: float, kept: int, generator: torch.Generator) -> tuple[list[str], list[str]]:
    """Draw a share of files, at least one unless the share is 0, and keep some at least; both in file-name order."""
    order = torch.randperm(len(files), generator=generator).tolist()
    count = min(max(round(ratio * len(files)), int(ratio > 0)), len(files) - kept)
    drawn = {*order[:count]}
    return [files[i] for i in sorted(drawn)], [file for i, file in enumerate(files) if i not in drawn]


def find_masks(images: Sequence[str], image_folder: Path, mask_folder: Path) -> dict[str, str]:
    """Find the masks of images, by their paths below two folders.

    Args:
        images: Abnormal images.
        image_folder: Folder that they are in.
        mask_folder: Folder of the masks, named ``masks`` if it is absent.

    Returns:
        Masks by image. Images without one are left out.

    Raises:
        FileNotFoundError: If a folder that was named does not exist.
        ValueError: If a mask belongs to no image.
    """
    if mask_folder.name == MASKS and not mask_folder.exists():
        return {}
    masks = {_key(path, mask_folder).removesuffix("_mask"): path for path in list_image_files(mask_folder)}
    keys = {_key(path, image_folder): path for path in images}
    if strange := [masks[key] for key in masks if key not in keys]:
        msg = (
            f"{mask_folder} holds {len(strange)} masks without an image in {image_folder}: {abbreviate(strange)}. Name "
            "each as its image, up to the extension, or remove it."
        )
        raise ValueError(msg)
    return {keys[key]: masks[key] for key in masks}


def _key(path: str, folder: Path) -> str:
    return str(Path(path).relative_to(folder.absolute()).with_suffix(""))
