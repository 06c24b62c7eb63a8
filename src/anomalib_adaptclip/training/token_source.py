# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Where training gets CLIP's tokens from: CLIP itself, or a cache of what it gave before.

Letters: B batch, N rows of packed tokens, D joint embedding width.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from lightning.pytorch import Trainer

from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch
from anomalib_adaptclip.data.query_prompt_data_module import QueryPromptDataModule
from anomalib_adaptclip.model.image_input import ImageInput
from anomalib_adaptclip.model.torch_model import AdaptCLIPModel

from .token_cache import TokenCache, module_digest, pack_tokens, packed_rows, unpack_tokens


class TokenSource:
    """Gives the tokens of images at all layers.

    Args:
        model: Model whose CLIP encodes.
        image_input: Reads and preprocesses images.
        input_size: Height and width of the model's input in pixels, None if images keep their own.
    """

    def __init__(self, model: AdaptCLIPModel, image_input: ImageInput, input_size: tuple[int, int] | None) -> None:
        self.model = model
        self.image_input = image_input
        self.input_size = input_size
        self.cache: TokenCache | None = None

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.static_pair.device

    def of_pairs(self, batch: QueryPromptBatch) -> tuple[ImageTokens, ImageTokens]:
        """Tokens of queries and of their prompts, which are encoded as one batch where they are not known."""
        if batch.tokens is not None and batch.prompt_tokens is not None:
            return self._unpack(batch.tokens), self._unpack(batch.prompt_tokens)
        query = torch.as_tensor(batch.image)
        prompt = self.image_input.preprocess(torch.as_tensor(batch.prompt_image))  # anomalib preprocesses queries alone
        tokens = self._encode(torch.cat([query, prompt]))
        return tokens.select(range(len(query))), tokens.select(range(len(query), len(tokens.global_token)))

    def of_queries(self, batch: QueryPromptBatch) -> ImageTokens:
        """Tokens of the queries."""
        return self._encode(torch.as_tensor(batch.image)) if batch.tokens is None else self._unpack(batch.tokens)

    def of_files(self, files: Sequence[str]) -> ImageTokens:
        """Tokens of image files."""
        if self.cache is not None:
            return self._unpack(torch.stack([self.cache.read(file) for file in files]).to(self.device))
        return self._encode(self.image_input.read(files).to(self.device))

    def packed(self, files: Sequence[str]) -> torch.Tensor:
        """Tokens of image files as the cache stores them, ``(B, N, D)``."""
        with torch.autocast(self.device.type, enabled=False):
            return pack_tokens(self.of_files(files))

    def fill_cache(self, folder: Path, datamodule: QueryPromptDataModule, trainer: Trainer, backbone: str) -> None:
        """Compute the tokens that a cache lacks, and let the data sets read tokens instead of images.

        Args:
            folder: Folder of the cache.
            datamodule: Its images are what the cache is filled with.
            trainer: The trainer whose processes share the work.
            backbone: Name of the backbone.

        Raises:
            ValueError: If an image cannot be read, or images keep sizes of their own.
            OSError: If the disk is too small or cannot be written to.
        """
        shape = (packed_rows(len(self.model.layers), self._grid()), self.model.static_pair.shape[1])
        clip = (backbone, module_digest(self.model.clip.visual), self.model.layers, self.model.first_vv_block)
        cache = TokenCache(folder, [*map(str, clip), self.image_input.description], shape)
        cache.complete(datamodule.image_files(), self.packed, datamodule.eval_batch_size, trainer)
        self.cache = cache
        datamodule.use_tokens(cache)

    @torch.no_grad()
    def _encode(self, images: torch.Tensor) -> ImageTokens:
        return self.model.encode(images, self.model.layers)

    def _unpack(self, tokens: torch.Tensor) -> ImageTokens:
        return unpack_tokens(tokens, len(self.model.layers), self._grid())

    def _grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        if self.input_size is None:
            msg = "cache_dir needs a pre-processor that resizes, so that all images have the same number of tokens."
            raise ValueError(msg)
        (height, width), (patch_height, patch_width) = self.input_size, self.model.patch_size
        return height // patch_height, width // patch_width
