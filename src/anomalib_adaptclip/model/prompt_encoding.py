# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From prompt files to prompts: each image is read once and encoded once, for the memory and for calibration.

Letters: K shots, N different images among them, A variants of each, S layers, L patches, D joint embedding width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from lightning.pytorch import LightningDataModule

from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.prompts.selection import Shots

from .calibration import Calibrator, make_variants
from .image_input import ImageInput, of_one_size
from .torch_model import AdaptCLIPModel


class PromptImages(NamedTuple):
    """Prompt images that were read and preprocessed.

    Attributes:
        files: Paths of the K shots. A draw with replacement may name one twice.
        rows: Which of the different images each shot is.
        inputs: Preprocessed variants ``(N, A, 3, H, W)`` of the different images, each image itself first. A copy under
            another name is no other image: compared with its double, it would be perfectly normal.
        preprocessing: What was done to them.
    """

    files: tuple[str, ...]
    rows: list[int]
    inputs: torch.Tensor
    preprocessing: str

    def are(self, files: Sequence[str], image_input: ImageInput) -> bool:
        """Whether these are the images of some files, preprocessed as they should be."""
        return (self.files, self.preprocessing) == (tuple(files), image_input.prompt_description)


class EncodedPrompts(NamedTuple):
    """Prompts as the memory and the calibration take them.

    Attributes:
        packed: Packed prompts ``(S, K, L, D)`` for the memory.
        tokens: Tokens of the N different images themselves.
    """

    packed: torch.Tensor
    tokens: ImageTokens


def read_prompts(files: Sequence[str], image_input: ImageInput, *, with_variants: bool) -> PromptImages:
    """Read and preprocess prompt images, each file once.

    Args:
        files: K image files, at least one.
        image_input: Preprocesses them.
        with_variants: Make the mildly changed variants that a calibration wants.

    Raises:
        ValueError: If an image cannot be read; it is named.
    """
    names = list(dict.fromkeys(files))
    images = (image_input.reader.read(file) for file in names)
    variants = (make_variants(image) if with_variants else image.unsqueeze(0) for image in images)
    inputs = torch.stack(of_one_size([image_input.preprocess(image_input.augment(image)) for image in variants]))
    same_as = first_equal(inputs[:, 0])
    different = sorted(set(same_as))
    rows = [different.index(same_as[names.index(file)]) for file in files]
    return PromptImages(tuple(files), rows, inputs[different], image_input.prompt_description)


def encode_prompts(model: AdaptCLIPModel, images: PromptImages) -> EncodedPrompts:
    """Encode prompt images, each different one once."""
    tokens = model.encode_prompts(images.inputs[:, 0].to(model.static_pair.device))
    return EncodedPrompts(model.prompt_memory.pack(tokens)[:, images.rows], tokens)


def first_equal(images: torch.Tensor) -> list[int]:
    """For each image the position of the first that equals it: of itself, or of the one that it is a copy of."""
    return [next(row for row, other in enumerate(images) if torch.equal(image, other)) for image in images]


def update_prompts(
    model: AdaptCLIPModel,
    shots: Shots,
    datamodule: LightningDataModule | None,
    calibrator: Calibrator | None,
    image_input: ImageInput,
    images: PromptImages | None = None,
) -> None:
    """Let a model remember other prompts, and find the thresholds that they imply, where either is not done yet.

    Args:
        model: Model with the prompts that it had.
        shots: Says which images the prompts are to be, and remembers which they are.
        datamodule: Data under test, which they may be drawn from.
        calibrator: Finds the thresholds, None if others do.
        image_input: Reads and preprocesses the images.
        images: The images, if they have been read already.

    Raises:
        ValueError: If an image cannot be read, or there are too few different ones to calibrate on.
    """
    files = shots.files_for(datamodule)
    image_input = image_input.like_test_images(datamodule)
    is_new = shots.differ_from(files, image_input.prompt_description)
    needs_thresholds = calibrator is not None and not calibrator.is_current(files)
    if not (is_new or needs_thresholds):
        return
    if images is None or not images.are(files, image_input):
        images = read_prompts(files, image_input, with_variants=calibrator is not None)
    prompts = encode_prompts(model, images)
    if is_new:
        model.prompt_memory.store(prompts.packed)
        shots.accept(files, image_input.prompt_description)
    if calibrator and needs_thresholds:
        calibrator.fit(model, files, images.inputs.to(model.static_pair.device), prompts.tokens)
