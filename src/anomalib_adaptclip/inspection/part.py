# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What is known of a part: a model with good photos as prompts, and the thresholds that they imply."""

from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer

from anomalib_adaptclip.files.atomic import write_atomically
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.files.quiet import silenced
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.prompts.selection import prompts_from_folder

MOST_SHOTS = 32  # more good photos than this are seldom better, and calibration compares each with the others
_LEAST_TO_CALIBRATE = 2


def learn(good: Path | str, k_shot: int | None = None, **options: Any) -> AdaptCLIP:  # noqa: ANN401
    """Learn what a part looks like from good photos, and calibrate on them.

    Args:
        good: Folder of good photos, or a single one.
        k_shot: Number of them to take, in file-name order. By default all, up to ``MOST_SHOTS``.
        **options: Further arguments of :class:`AdaptCLIP`.

    Returns:
        A model that is ready to predict. With one photo, or copies of one, it has no thresholds.

    Raises:
        ValueError: If an argument is wrong, or a photo cannot be read.
        FileNotFoundError: If there is no such folder.
        ConnectionError: If weights cannot be downloaded.
    """
    files = prompts_from_folder(good, k_shot, "GOOD")[: k_shot or MOST_SHOTS]
    calibrates = len(files) >= _LEAST_TO_CALIBRATE and _are_different(files, options.get("white_level"))
    model = AdaptCLIP(
        k_shot=len(files), few_shot_source=good, calibration="normal" if calibrates else "labels", **options
    )
    model.prepare()
    return model


def _are_different(files: list[str], white_level: float | None) -> bool:
    """Whether at least two photos differ, which comparing them takes."""
    reader = ImageReader(white_level)
    first = reader.read(files[0])
    return any(image.shape != first.shape or not image.equal(first) for image in map(reader.read, files[1:]))


def save_checkpoint(model: AdaptCLIP, path: Path | str) -> None:
    """Write a checkpoint as training does, for `anomalib predict`, `anomalib export` and :class:`AdaptCLIPPredictor`.

    Args:
        model: Model that is ready to predict.
        path: File to make or replace.

    Raises:
        OSError: If it cannot be written.
    """
    with silenced("lightning.pytorch", "lightning_fabric", "lightning.fabric"):  # nothing is trained
        trainer = Trainer(
            accelerator="cpu", devices=1, logger=False, enable_progress_bar=False, enable_model_summary=False
        )
        trainer.strategy.connect(model)
        write_atomically(Path(path), trainer.save_checkpoint)


def require_checkpoint_path(path: Path) -> None:
    """Check that a checkpoint can go to a file of this name, before any work is done.

    Raises:
        ValueError: If it cannot.
    """
    if path.suffix != ".ckpt" or path.is_dir():
        msg = f"The part must go to a file named *.ckpt; got {path}."
        raise ValueError(msg)
