# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Where the images of a run come from, as far as data modules and data sets tell."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from .picture_folder import absolute


def image_roots(trainer: Trainer) -> list[Path]:
    """Folders that the images of a run lie below, the most telling first.

    Args:
        trainer: Trainer that is about to test or to predict.

    Returns:
        Absolute folders: that of the data module's category, its root, the common one of all images that data sets
        list, and the current one.
    """
    datamodule = getattr(trainer, "datamodule", None)
    root, category = getattr(datamodule, "root", None), getattr(datamodule, "category", None)
    folders = [Path(root) / category] if root and category else []
    folders += [Path(root)] if root else []
    folders = [folder for path in folders for folder in (absolute(path), path.resolve())]
    datasets = [*_datasets(trainer), *(getattr(datamodule, name, None) for name in ("train_data", "test_data"))]
    return [*folders, *common_folder([file for data in datasets for file in _listed(data)]), Path.cwd()]


def common_folder(files: Sequence[str]) -> list[Path]:
    """The deepest folder that holds all files, in a list; an empty list where there is none."""
    with suppress(ValueError):  # no files, or on several drives
        return [Path(os.path.commonpath([absolute(file).parent for file in files]))]
    return []


def _datasets(trainer: Trainer) -> Iterator[object]:
    loaders: Any = trainer.predict_dataloaders if trainer.predicting else trainer.test_dataloaders
    for loader in loaders if isinstance(loaders, list | tuple) else [loaders]:
        yield getattr(loader, "dataset", None)


def _listed(dataset: object) -> list[str]:
    """Files that a data set of anomalib, or of this package, says that it has."""
    samples: Any = getattr(dataset, "samples", None)
    if "image_path" in getattr(samples, "columns", ()):
        return [str(file) for file in samples.image_path]
    return [str(file) for file in getattr(dataset, "image_filenames", None) or getattr(dataset, "files", None) or ()]
