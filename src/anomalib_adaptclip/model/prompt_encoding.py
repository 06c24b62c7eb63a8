# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From prompt files to prompts: each image is read once and encoded once, for the memory and for calibration.

Letters: K shots, N different images among them, A variants of each, S layers, L patches, D joint embedding width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.files.images import read_image

from .calibration import make_variants
from .image_input import ImageInput
from .torch_model import AdaptCLIPModel


class EncodedPrompts(NamedTuple):
    """Prompts as the memory and the calibration take them.

    Attributes:
        packed: Packed prompts ``(S, K, L, D)`` for the memory.
        inputs: Preprocessed variants ``(N, A, 3, H, W)`` of the different images, each image itself first.
        tokens: Tokens of those images themselves.
    """

    packed: torch.Tensor
    inputs: torch.Tensor
    tokens: ImageTokens


def encode_prompt_files(
    model: AdaptCLIPModel, image_input: ImageInput, files: Sequence[str], *, with_variants: bool
) -> EncodedPrompts:
    """Read and encode prompt images.

    Args:
        model: Model that encodes them.
        image_input: Reads and preprocesses them.
        files: K image files. A draw with replacement may name one twice; it is read once all the same.
        with_variants: Make the mildly changed variants that a calibration wants.

    Raises:
        ValueError: If an image cannot be read; it is named.
    """
    different = list(dict.fromkeys(files))
    images = (read_image(file) for file in different)
    variants = (make_variants(image) if with_variants else image.unsqueeze(0) for image in images)
    inputs = torch.stack([image_input.preprocess(image) for image in variants]).to(model.static_pair.device)
    tokens = model.encode_prompts(inputs[:, 0])
    packed = model.prompt_memory.pack(tokens.layers)[:, [different.index(file) for file in files]]
    return EncodedPrompts(packed, inputs, tokens)
