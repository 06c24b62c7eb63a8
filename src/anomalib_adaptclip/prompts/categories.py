# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What kind of thing each image of a batch shows, for models that know several."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from anomalib.data import Batch
from lightning.pytorch import LightningDataModule

_FOLDERS = 4  # above an image that may name its category; anomalib's deepest layout is category/test/defect/rgb/000.png


def categories_of(
    batch: Batch[Any], known: Collection[str], column: Mapping[str, str], function: Callable[[str], str] | None
) -> list[str]:
    """Category of each image: by the function if there is one, by the batch, by its data set, or by its folder.

    Args:
        batch: Batch of images.
        known: Names that folders may have.
        column: Categories by path, where the data set tells.
        function: Tells the category by the path.

    Returns:
        B names, not all of them known perhaps.

    Raises:
        ValueError: If the batch tells neither categories nor paths.
    """
    named = getattr(batch, "category", None)
    if named is not None and function is None:
        return list(named)
    paths = getattr(batch, "image_path", None)
    if paths is None:
        msg = (
            "A prompt bank needs the category of each image, and this batch has no paths to tell it by. Give the batch "
            "a field `category`, or call model.prompt_bank.predict(images, categories)."
        )
        raise ValueError(msg)
    if function is not None:
        return [function(path) for path in paths]
    return [column.get(path) or category_of_folder(path, known) for path in paths]


def category_of_folder(path: str | Path, known: Collection[str]) -> str:
    """Name of the nearest folder above an image that is known; of the folder that it lies in, if none is."""
    folders = [folder.name for folder in Path(path).absolute().parents[:_FOLDERS]]
    return next((name for name in folders if name in known), folders[0])


def categories_by_path(datamodule: LightningDataModule | None) -> dict[str, str]:
    """Column ``category`` of the samples of a data module's data sets, by the path of the image. Gaps are left out."""
    found: dict[str, str] = {}
    for split in ("val_data", "test_data", "predict_data"):
        samples = getattr(getattr(datamodule, split, None), "samples", None)
        if samples is not None and "category" in samples:
            names = samples.category.convert_dtypes()  # whole numbers beside gaps came as floats
            told = zip(samples.image_path, names, strict=True)
            found |= {str(path): str(name) for path, name in told if not pd.isna(name)}
    return found
