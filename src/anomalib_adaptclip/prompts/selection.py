# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Choosing the normal images that serve as few-shot prompts."""

import logging
from pathlib import Path

import torch
from anomalib.data import AnomalibDataModule
from anomalib.data.utils import LabelName
from anomalib.data.utils.image import is_image_file

from anomalib_adaptclip.files.images import read_image

logger = logging.getLogger(__name__)


def require_shots(k_shot: int, source: Path | str | None) -> list[str]:
    """Check the arguments that prompts come from.

    Args:
        k_shot: Number K of shots.
        source: Folder of normal images, if there is one.

    Returns:
        Its first K images.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If K is negative, or 0 with a folder, or the folder does not serve.
    """
    if k_shot < 0:
        msg = f"k_shot must be 0 for zero-shot, or the number of normal images; got {k_shot}."
        raise ValueError(msg)
    if source is None:
        return []
    if k_shot == 0:
        msg = (
            f"few_shot_source={source} was given but k_shot is 0. Say how many of its images to use: k_shot=1, 2, 4..."
        )
        raise ValueError(msg)
    return prompts_from_folder(source, k_shot)


def prompts_from_folder(source: str | Path, k_shot: int | None = None, argument: str = "few_shot_source") -> list[str]:
    """Take the first K images of a folder, in file-name order.

    Args:
        source: Folder of normal images, searched as anomalib does for prediction, or a single image.
        k_shot: Number K of images. All by default.
        argument: What the user calls the folder, for the errors.

    Returns:
        K paths. The images can be read.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds fewer than K images, or none, or one of the first K cannot be read.
    """
    source = Path(source)
    if not source.exists():
        msg = f"{argument} must be a folder of normal images, but {source} does not exist."
        raise FileNotFoundError(msg)
    files = [source] if source.is_file() else [path for path in source.rglob("*") if is_image_file(path)]
    require_enough(len(files), 1 if k_shot is None else k_shot, f"{argument} {source}")
    chosen = sorted(str(path) for path in files)[:k_shot]
    for path in chosen:
        read_image(path)
    return chosen


def prompts_from_datamodule(datamodule: AnomalibDataModule, k_shot: int, seed: int) -> list[str]:
    """Draw K train images as the published protocol does: with replacement, over the images in file-name order.

    Args:
        datamodule: Data module that has been set up. If it says ``prompts_are_abnormal``, as `AbnormalFolder` does, the
            labels do not matter.
        k_shot: Number K of images.
        seed: Of the generator; the paper's are 10, 20 and 30.

    Returns:
        K paths, in the order drawn.

    Raises:
        ValueError: If there are fewer than K normal train images.
    """
    samples = datamodule.train_data.samples
    if getattr(datamodule, "prompts_are_abnormal", False):
        logger.warning("%s has no normal images: abnormal ones serve as prompts, as in the paper.", datamodule.name)
    else:
        samples = samples[samples.label_index == LabelName.NORMAL]
    files = sorted(samples.image_path)
    require_enough(len(files), k_shot, f"the train split of {datamodule.name} {datamodule.category}".rstrip())
    generator = torch.Generator().manual_seed(seed)
    return [str(files[index]) for index in torch.randint(0, len(files), (k_shot,), generator=generator)]


def require_enough(found: int, k_shot: int, where: str) -> None:
    """Check that there are normal images enough.

    Args:
        found: Images there are.
        k_shot: Images wanted.
        where: Place to name in the error.

    Raises:
        ValueError: If there are too few.
    """
    if found < k_shot:
        msg = f"k_shot={k_shot} needs {k_shot} normal images, but {where} holds {found}. Add images or lower k_shot."
        raise ValueError(msg)
