# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tokens of images on disk: CLIP is frozen and nothing is augmented, so they need computing once.

Letters: B batch, S tapped blocks, T tokens of a tap, N = S * T + 1 tokens in all, D joint embedding width.
"""

import hashlib
import logging
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .clip import ImageTokens
from .weight_files import replace_file

logger = logging.getLogger(__name__)

_MARGIN = 1 << 28  # bytes of the disk to leave free


def pack_tokens(tokens: ImageTokens) -> torch.Tensor:
    """Put all tokens of a batch into one tensor in half precision: taps, then the global token, ``(B, N, D)``."""
    return torch.cat([*tokens.taps, tokens.global_token.unsqueeze(1)], dim=1).half()


def unpack_tokens(packed: torch.Tensor, num_taps: int, grid: tuple[int, int]) -> ImageTokens:
    """Undo :func:`pack_tokens`, to float32."""
    packed = packed.float()
    return ImageTokens(packed[:, -1], packed[:, :-1].chunk(num_taps, dim=1), grid)


class TokenCache:
    """A folder with one file of half-precision tokens for each image.

    A file is found by the content of the image and by what the tokens depend on, so a changed image, other weights or
    another size find nothing. A damaged file counts as missing.

    Args:
        folder: Where the files are; made if need be.
        recipe: What the tokens depend on besides the image: backbone, weights, taps, size.
        shape: N and D.
    """

    def __init__(self, folder: Path, recipe: Sequence[str], shape: tuple[int, int]) -> None:
        self.folder = folder
        self.recipe = "|".join(recipe)
        self.shape = shape
        self._entries: dict[str, Path] = {}

    def locate(self, image: str) -> Path:
        """File for the tokens of an image."""
        if image not in self._entries:
            digest = hashlib.sha256(self.recipe.encode() + Path(image).read_bytes()).hexdigest()
            self._entries[image] = self.folder / digest[:2] / f"{digest}.safetensors"
        return self._entries[image]

    def missing(self, images: Sequence[str]) -> list[str]:
        """Images whose tokens are not there, or damaged. All that are there are read and verified."""
        return [image for image in images if not self._is_sound(self.locate(image))]

    def require_space(self, count: int) -> None:
        """Check that so many more images fit on the disk.

        Raises:
            OSError: If they do not; the space needed is told.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = count * self.shape[0] * self.shape[1] * 2, shutil.disk_usage(self.folder).free
        logger.info("Tokens of %d images are to be computed, %.2f GB in %s.", count, needed / 1e9, self.folder)
        if needed + _MARGIN > free:
            msg = (
                f"The token cache needs {needed / 1e9:.2f} GB for {count} images, and {self.folder} has "
                f"{free / 1e9:.2f} GB left. Free space, choose another cache_dir, or train without."
            )
            raise OSError(msg)

    def write(self, image: str, tokens: torch.Tensor) -> None:
        """Store the tokens ``(N, D)`` of an image, all at once or not at all."""
        tokens = tokens.cpu().contiguous()
        metadata = {"crc32": str(_checksum(tokens))}
        replace_file(self.locate(image), lambda path: save_file({"tokens": tokens}, path, metadata))

    def read(self, path: str) -> torch.Tensor:
        """Tokens ``(N, D)`` of an image, in half precision, mapped from the file."""
        with safe_open(self.locate(path), framework="pt") as file:
            tokens: torch.Tensor = file.get_tensor("tokens")
        return tokens

    def fill(self, images: Sequence[str], encode: Callable[[Sequence[str]], torch.Tensor], batch_size: int) -> None:
        """Compute what is missing.

        Args:
            images: Image files.
            encode: Computes the packed tokens of a batch of files ``(B, N, D)``.
            batch_size: Files at a time.
        """
        for start in range(0, len(images), batch_size):
            chunk = images[start : start + batch_size]
            for image, tokens in zip(chunk, encode(chunk), strict=True):
                self.write(image, tokens)

    def _is_sound(self, path: Path) -> bool:
        try:
            with safe_open(path, framework="pt") as file:
                tokens, checksum = file.get_tensor("tokens"), (file.metadata() or {}).get("crc32")
        except (SafetensorError, OSError):
            return False
        return tuple(tokens.shape) == self.shape and checksum == str(_checksum(tokens))


def _checksum(tokens: torch.Tensor) -> int:
    return zlib.crc32(tokens.view(torch.uint8).numpy().data)
