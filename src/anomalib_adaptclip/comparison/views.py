# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Divides a category by camera view, for data sets that show each object from several sides."""

import re
from collections.abc import Iterator
from copy import copy
from pathlib import Path

from anomalib.data import AnomalibDataModule, RealIAD

_VIEW = re.compile(r"_(C\d+)(?=[_.])")  # in Real-IAD's file names: audiojack_0001_NG_HS_C1_20231022.jpg


def by_view(datamodule: AnomalibDataModule) -> Iterator[AnomalibDataModule]:
    """Divide a data module by camera view.

    Args:
        datamodule: Data module that has been set up.

    Yields:
        For Real-IAD, a copy for each view of the test split, with the train and test images of that view. For all
        other data sets, which have no views, the data module itself.

    Raises:
        ValueError: If a file name of Real-IAD does not contain the view.
    """
    if not isinstance(datamodule, RealIAD):
        yield datamodule
        return
    for view in sorted({view_of(path) for path in datamodule.test_data.samples.image_path}):
        part = copy(datamodule)
        for name in ("train_data", "val_data", "test_data"):
            if data := getattr(datamodule, name, None):
                own = [index for index, path in enumerate(data.samples.image_path) if view_of(path) == view]
                setattr(part, name, data.subsample(own))
        yield part


def view_of(path: str) -> str:
    """Read the camera view, such as ``"C1"``, from the file name of a Real-IAD image.

    Args:
        path: Path of the image.

    Raises:
        ValueError: If the name does not contain it.
    """
    found = _VIEW.findall(Path(path).name)
    if not found:
        msg = f"The name of {path} should contain its camera view, as in audiojack_0001_OK_C1_20231022.jpg. Rename it."
        raise ValueError(msg)
    return str(found[-1])
