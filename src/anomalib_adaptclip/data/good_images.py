# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Data modules of good images alone, whose default splits fail or leave too few for prompts."""

import copy
import logging
from math import floor

from anomalib.data import Folder, Tabular
from anomalib.data.utils import TestSplitMode, ValSplitMode
from lightning.pytorch import LightningDataModule

logger = logging.getLogger(__name__)

_OUT_OF_TEST = (ValSplitMode.FROM_TEST, ValSplitMode.SAME_AS_TEST)


def keep_good_images(datamodule: LightningDataModule | None, k_shot: int) -> None:
    """Let a data module set no images aside for test and validation, if it has too few and no others.

    anomalib takes test images from the train images where there are none, and validation images from those.

    Args:
        datamodule: Data module that has not been set up. Only those of users' images are changed.
        k_shot: Normal images that must be left for prompts.

    Raises:
        ValueError: If synthetic test images are wanted, and there are too few images to make some of.
    """
    if not isinstance(datamodule, Folder | Tabular) or datamodule.val_split_mode not in {
        *_OUT_OF_TEST,
        ValSplitMode.NONE,
    }:
        return
    listed = copy.copy(datamodule)
    listed._setup()  # noqa: SLF001  # setup would split
    if len(listed.test_data):
        return
    images = len(listed.train_data)
    test, val = share_of_good_images(datamodule, images)
    if datamodule.test_split_mode == TestSplitMode.SYNTHETIC:
        require_synthetic(test, images, datamodule.name)
    elif images - test < k_shot or (val == 0 and datamodule.val_split_mode in _OUT_OF_TEST):
        datamodule.test_split_mode, datamodule.val_split_mode = TestSplitMode.NONE, ValSplitMode.NONE
        logger.info("%s has %d good images and no others: all are kept for prompts.", datamodule.name, images)


def share_of_good_images(datamodule: Folder | Tabular, images: int) -> tuple[int, int]:
    """How many of its train images a data module without test images would test on, and validate on."""
    test = 0 if datamodule.test_split_mode == TestSplitMode.NONE else floor(images * datamodule.test_split_ratio)
    return test, test if datamodule.val_split_mode == ValSplitMode.SAME_AS_TEST else floor(
        test * datamodule.val_split_ratio
    )


def require_synthetic(test: int, images: int, name: str) -> None:
    """Check that there are images to make synthetic test images of.

    Raises:
        ValueError: If there are none.
    """
    if test == 0:
        msg = (
            f"test_split_mode=synthetic makes test images of a share of the good images, and {name} has too few: "
            f"{images}. Add images, raise test_split_ratio, or set --data.test_split_mode none."
        )
        raise ValueError(msg)
