# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Choosing the normal images that serve as few-shot prompts."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

import torch
from anomalib.data import AnomalibDataModule
from anomalib.data.utils import LabelName
from anomalib.data.utils.image import is_image_file
from lightning.pytorch import LightningDataModule

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.choices import require_choice

Draw = Literal["published", "distinct"]

logger = logging.getLogger(__name__)


class Shots:
    """The normal images that serve as prompts: how many, where they come from, and which ones they are.

    Args:
        k_shot: Number K of images; 0 for zero-shot.
        source: Folder of normal images. Its first K in file-name order are taken. Without it K train images of the
            data module are drawn.
        seed: Seed of the draw.
        draw: ``"published"``: with replacement, so that an image may be drawn twice; ``"distinct"``: without.

    Attributes:
        files: Images whose tokens the model has. Empty until there are some.
        preprocessing: What was done to them.
        restored: Whether they came out of a checkpoint; then they stay.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If K is negative, or 0 with a folder, or the folder does not serve.
    """

    def __init__(
        self, k_shot: int = 0, source: Path | str | None = None, seed: int = 10, draw: Draw = "published"
    ) -> None:
        require_types(Shots.__init__, locals())
        require_shots(k_shot, source)
        require_draw(draw, k_shot, source)
        self.k_shot = int(k_shot)
        self.seed = int(seed)
        self.draw = draw
        self.source_files = [] if source is None else prompts_from_folder(source, k_shot)
        self.files: list[str] = []
        self.preprocessing = ""
        self.restored = False

    def files_for(self, datamodule: LightningDataModule | None) -> list[str]:
        """The images to take as prompts when this data is under test.

        Returns:
            K paths, none for zero-shot. Those of a checkpoint come before those of the folder, and those before a draw.

        Raises:
            ValueError: If there is nothing to draw from, or too little.
        """
        if self.restored or self.k_shot == 0:
            return self.files
        if self.source_files:
            return self.source_files
        if isinstance(datamodule, AnomalibDataModule) and hasattr(datamodule, "train_data"):
            return prompts_from_datamodule(datamodule, self.k_shot, self.seed, self.draw)
        if self.files:
            return self.files  # of the data module seen before
        msg = (
            f"k_shot={self.k_shot} needs normal images, and there is no anomalib data module to draw them from. "
            "Give few_shot_source=FOLDER, a data module, or a checkpoint that holds prompts."
        )
        raise ValueError(msg)

    def differ_from(self, files: Sequence[str], preprocessing: str) -> bool:
        """Whether the model has the tokens of other images, or of these after another pre-processing.

        Prompts of a checkpoint stay; if their pre-processing was another, that is told once.
        """
        if list(files) != self.files:
            return True
        if not files or preprocessing == self.preprocessing:
            return False
        if self.restored:
            logger.warning(
                "The checkpoint's prompts went through other transforms than the test images do: %s. Now: %s.",
                self.preprocessing,
                preprocessing,
            )
            self.preprocessing = preprocessing
        return not self.restored

    def accept(self, files: Sequence[str], preprocessing: str) -> None:
        """Remember that the model has the tokens of these images now, and tell which they are."""
        self.files, self.preprocessing = list(files), preprocessing
        logger.info("Few-shot prompts (%d): %s", len(files), ", ".join(files))
        if repeated := len(files) - len(set(files)):
            logger.info(
                "%d of the %d prompts were drawn twice, as the published protocol does; draw='distinct' draws others.",
                repeated,
                len(files),
            )

    def restore(self, files: Sequence[str], preprocessing: str) -> None:
        """Take over the prompts of a checkpoint, if it has some, and tell which they are."""
        self.files, self.preprocessing, self.restored = list(files), preprocessing, bool(files)
        if files:
            logger.info("Few-shot prompts out of the checkpoint: %s", ", ".join(files))


def require_shots(k_shot: int, source: Path | str | None) -> None:
    """Check that a number of shots and the folder of normal images go together.

    Raises:
        ValueError: If K is negative, or 0 with a folder.
    """
    if k_shot < 0:
        msg = f"k_shot must be 0 for zero-shot, or the number of normal images; got {k_shot}."
        raise ValueError(msg)
    if source is not None and k_shot == 0:
        msg = (
            f"few_shot_source={source} was given but k_shot is 0. Say how many of its images to use: k_shot=1, 2, 4..."
        )
        raise ValueError(msg)


def prompts_from_folder(source: str | Path, k_shot: int | None = None, argument: str = "few_shot_source") -> list[str]:
    """Take the first K images of a folder, in file-name order.

    Args:
        source: Folder of normal images, searched as anomalib does for prediction, or a single image.
        k_shot: Number K of images. All by default.
        argument: What the user calls the folder, for the errors.

    Returns:
        K paths of image files, which have not been read.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds fewer than K images, or none, or K is less than 1.
    """
    if k_shot is not None and k_shot < 1:
        msg = f"k_shot is the number of normal images to take from {argument} {source}, at least 1; got {k_shot}."
        raise ValueError(msg)
    source = Path(source)
    if not source.exists():
        msg = f"{argument} must be a folder of normal images, but {source} does not exist."
        raise FileNotFoundError(msg)
    files = [source] if source.is_file() else _regular_files(path for path in source.rglob("*") if is_image_file(path))
    require_enough(len(files), 1 if k_shot is None else k_shot, f"{argument} {source}")
    return sorted(str(path) for path in files)[:k_shot]


def _regular_files(paths: Iterable[Path]) -> list[Path]:
    """Leave out what only has the name of an image: folders, pipes, sockets and broken links, with a warning."""
    paths = list(paths)
    if odd := sorted(str(path) for path in paths if not path.is_file()):
        logger.warning("Skipped, for they are no regular files: %s", ", ".join(odd))
    return [path for path in paths if path.is_file()]


def prompts_from_datamodule(
    datamodule: AnomalibDataModule, k_shot: int, seed: int, draw: Draw = "published"
) -> list[str]:
    """Draw K train images. The published protocol does so with replacement, over the images in file-name order.

    Where there are K images and no more, all are taken: with replacement some would be left out.

    Args:
        datamodule: Data module that has been set up. If it says ``prompts_are_abnormal``, as `AbnormalFolder` does, the
            labels do not matter.
        k_shot: Number K of images.
        seed: Seed of the draw; the paper's are 10, 20 and 30.
        draw: ``"published"`` or ``"distinct"``, which is without replacement.

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
    return files if len(files) == k_shot else draw_files(files, k_shot, seed, draw)


def draw_files(files: Sequence[str], k_shot: int, seed: int, draw: Draw = "published") -> list[str]:
    """Draw K files by a generator that is seeded for this draw.

    Args:
        files: Files in file-name order, at least one; at least K if they are to be distinct.
        k_shot: Number K of files.
        seed: Seed of the draw.
        draw: As for :func:`prompts_from_datamodule`.
    """
    generator = torch.Generator().manual_seed(seed)
    if draw == "distinct":
        chosen = torch.randperm(len(files), generator=generator)[:k_shot]
    else:
        chosen = torch.randint(0, len(files), (k_shot,), generator=generator)
    return [str(files[index]) for index in chosen]


def require_draw(draw: Draw, k_shot: int, source: Path | str | None) -> None:
    """Check that where nothing is drawn nothing was said of how to draw.

    Raises:
        ValueError: If something was, or the draw is unknown.
    """
    require_choice("draw", draw, Draw)
    if draw != "published" and (k_shot == 0 or source is not None):
        reason = "few_shot_source gives the first K in file-name order" if source is not None else "k_shot is 0"
        msg = f"draw={draw!r} is for prompts drawn from a data module, and none are: {reason}. Leave it out."
        raise ValueError(msg)


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
