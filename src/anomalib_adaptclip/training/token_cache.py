# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tokens of images on disk: CLIP is frozen and nothing is augmented, so they need computing once.

Letters: B batch, S layers, T tokens of a layer, N rows of packed tokens, D joint embedding width.
"""

import hashlib
import logging
import shutil
import zlib
from collections.abc import Callable, Sequence
from operator import methodcaller
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from rich.progress import track
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.files.atomic import write_atomically
from anomalib_adaptclip.files.tensors import is_finite, require_finite

logger = logging.getLogger(__name__)

_MARGIN = 1 << 28  # bytes of the disk to leave free


def pack_tokens(tokens: ImageTokens) -> torch.Tensor:
    """Put all tokens of a batch into one tensor in half precision, ``(B, N, D)``.

    The tokens of a layer have much in common, and half precision is relative: their mean is stored apart, as a sum of
    two numbers, and the small differences from it keep their digits. The global token is such a sum too.
    """
    rows = []
    for layer in tokens.layers:
        centre = _split(layer.mean(dim=1, keepdim=True))
        rows += [layer - centre.float().sum(dim=1, keepdim=True), centre]
    return torch.cat([row.half() for row in (*rows, _split(tokens.global_token.unsqueeze(1)))], dim=1)


def unpack_tokens(packed: torch.Tensor, num_layers: int, grid: tuple[int, int]) -> ImageTokens:
    """Undo :func:`pack_tokens`, to float32."""
    layers = packed[:, :-2].float().chunk(num_layers, dim=1)
    centred = tuple(layer[:, :-2] + layer[:, -2:].sum(dim=1, keepdim=True) for layer in layers)
    return ImageTokens(packed[:, -2:].float().sum(dim=1), centred, grid)


def packed_rows(num_layers: int, grid: tuple[int, int]) -> int:
    """Rows N of packed tokens."""
    return num_layers * (1 + grid[0] * grid[1] + 2) + 2


def _split(token: torch.Tensor) -> torch.Tensor:
    """``(B, 1, D)`` as a sum of two numbers in half precision, ``(B, 2, D)``."""
    high = token.half()
    return torch.cat([high, (token - high.float()).half()], dim=1)


def module_digest(module: nn.Module) -> str:
    """SHA-256 in hexadecimal over what a module is made of and all its weights."""
    digest = hashlib.sha256(repr(module).encode())
    for name, tensor in module.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def require_cache_folder(path: Path | str) -> Path:
    """Check that tokens can be kept in a folder, which need not exist yet.

    Raises:
        NotADirectoryError: If it is a file, or lies within one.
    """
    path = Path(path)
    if files := [part for part in (path, *path.parents) if part.is_file()]:
        msg = f"cache_dir must be a folder; got {path}, and {files[0]} is a file. Give another path."
        raise NotADirectoryError(msg)
    return path


class TokenCache:
    """A folder with one file of half-precision tokens for each image.

    A file is found by the content of the image and by what the tokens depend on, so a changed image, other weights or
    another size find nothing. A damaged file counts as missing. Several processes may fill the same folder.

    Args:
        folder: Where the files are; made if need be.
        recipe: What the tokens depend on besides the image: backbone, weights, layers, size.
        shape: N and D.
    """

    def __init__(self, folder: Path, recipe: Sequence[str], shape: tuple[int, int]) -> None:
        self.folder = folder
        self.recipe = "|".join(recipe)
        self.shape = shape
        self._entries: dict[str, Path] = {}

    def locate(self, image: str) -> Path:
        """File for the tokens of an image.

        Raises:
            ValueError: If the image cannot be read; it is named.
        """
        if image not in self._entries:
            digest = hashlib.sha256(self.recipe.encode() + _content_of(image)).hexdigest()
            self._entries[image] = self.folder / digest[:2] / f"{digest}.safetensors"
        return self._entries[image]

    def missing(self, images: Sequence[str]) -> list[str]:
        """Images whose tokens are not there, or damaged. All that are there are read and verified."""
        return [image for image in images if not self._is_sound(self.locate(image))]

    def complete(
        self, images: Sequence[str], encode: Callable[[Sequence[str]], torch.Tensor], batch_size: int, trainer: Trainer
    ) -> None:
        """Compute what is missing, each process its share. All processes return together, or all fail.

        Args:
            images: Image files, the same in all processes.
            encode: Computes the packed tokens of a batch of files ``(B, N, D)``.
            batch_size: Files at a time.
            trainer: Whose processes these are.

        Raises:
            ValueError: If an image cannot be read, or its tokens are not finite; it is named.
            OSError: If the disk is too small or cannot be written to.
            RuntimeError: If another process failed.
        """
        for image in images:
            self.locate(image)  # here and once, not in each worker of a data loader
        missing = self.missing(images[trainer.global_rank :: trainer.world_size])
        count = torch.tensor(float(len(missing)), device=trainer.strategy.root_device)
        total = int(trainer.strategy.reduce(count, reduce_op="sum"))
        failure: Exception | None = None
        try:
            if total:
                self.require_space(total)
                self.fill(missing, encode, batch_size, show=trainer.is_global_zero)
        except Exception as error:  # noqa: BLE001  # raised once the others know, who would wait for ever
            failure = error
        all_done = trainer.strategy.reduce_boolean_decision(failure is None)
        if failure is not None:
            raise failure
        if not all_done:
            msg = "Another process could not fill the token cache; its own error tells why."
            raise RuntimeError(msg)

    def require_space(self, count: int) -> None:
        """Check that so many more images fit on the disk.

        Raises:
            OSError: If they do not; the space needed is told.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        needed, free = self._size_of(count), shutil.disk_usage(self.folder).free
        logger.info("Tokens of %d images are to be computed, %.1f MB in %s.", count, needed / 1e6, self.folder)
        if needed + _MARGIN > free:
            msg = (
                f"The token cache needs {needed / 1e6:.1f} MB for {count} images, and {self.folder} has "
                f"{free / 1e6:.1f} MB left, of which {_MARGIN / 1e6:.0f} MB stay free. Free space, choose another "
                "cache_dir, or train without."
            )
            raise OSError(msg)

    def fill(
        self,
        images: Sequence[str],
        encode: Callable[[Sequence[str]], torch.Tensor],
        batch_size: int,
        *,
        show: bool = False,
    ) -> None:
        """Compute and store the tokens of images.

        Args:
            images: Image files.
            encode: Computes the packed tokens of a batch of files ``(B, N, D)``.
            batch_size: Files at a time.
            show: Show a progress bar.

        Raises:
            OSError: If a file cannot be written; the space still needed is told. What was written is kept.
        """
        for start in track(range(0, len(images), batch_size), "Computing tokens", disable=not show):
            chunk = images[start : start + batch_size]
            tokens = encode(chunk)
            try:
                for image, own in zip(chunk, tokens, strict=True):
                    self.write(image, own)
            except OSError as error:
                msg = (
                    f"Cannot write to the token cache {self.folder}: {error}. It needs "
                    f"{self._size_of(len(images) - start) / 1e6:.1f} MB more; what is there already is kept. Free "
                    "space, choose another cache_dir, or train without."
                )
                raise OSError(msg) from error

    def write(self, image: str, tokens: torch.Tensor) -> None:
        """Store the tokens ``(N, D)`` of an image, all at once or not at all.

        Raises:
            ValueError: If they are not finite; the image is named.
        """
        tokens = tokens.cpu().contiguous()
        require_finite(f"The token cache's entry of {image}", {"tokens": tokens})
        content = save({"tokens": tokens}, {"crc32": str(_checksum(tokens))})

        # safetensors' own writer does not raise OSError on a full disk
        write_atomically(self.locate(image), methodcaller("write_bytes", content))

    def read(self, path: str) -> torch.Tensor:
        """Tokens ``(N, D)`` of an image, in half precision, mapped from the file.

        Raises:
            OSError: If they are not there, or no longer; the image is named.
        """
        try:
            with safe_open(self.locate(path), framework="pt") as file:
                tokens: torch.Tensor = file.get_tensor("tokens")
        except (SafetensorError, OSError) as error:
            msg = (
                f"The tokens of {path} cannot be read from the token cache {self.folder}: {error}. Start again, and "
                "they are computed anew."
            )
            raise OSError(msg) from error
        return tokens

    def _size_of(self, count: int) -> int:
        """Bytes that the tokens of so many images take."""
        return count * self.shape[0] * self.shape[1] * 2

    def _is_sound(self, path: Path) -> bool:
        try:
            with safe_open(path, framework="pt") as file:
                tokens, checksum = file.get_tensor("tokens"), (file.metadata() or {}).get("crc32")
        except (SafetensorError, OSError):
            return False
        whole = tuple(tokens.shape) == self.shape and tokens.dtype == torch.half and is_finite(tokens)
        return whole and checksum == str(_checksum(tokens))


def _checksum(tokens: torch.Tensor) -> int:
    return zlib.crc32(tokens.view(torch.uint8).numpy().data)


def _content_of(image: str) -> bytes:
    try:
        return Path(image).read_bytes()
    except OSError as error:
        msg = f"Cannot read the image {image}: {error}. Remove it or replace it."
        raise ValueError(msg) from error
