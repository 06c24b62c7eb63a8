# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The one way from an image file, or an image in memory, to RGB in [0, 1]; ``docs/images.md`` has the table.

Letters: H and W pixels of the upright image.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torchvision.tv_tensors import Mask

from .image_decoding import decode, decode_size
from .image_samples import (
    ChannelOrder,
    Samples,
    is_dark,
    require_range,
    samples_of_array,
    samples_of_pil,
    split_alpha,
    to_rgb,
    white_of_type,
)

logger = logging.getLogger(__name__)

_GREY = torch.tensor([0.299, 0.587, 0.114])  # of ITU-R 601, as Pillow converts RGB to grey
_LEAST_GREY = 0.5 / 255


class UnreadableImageError(ValueError):
    """Something is wrong with an image file: not with the disk, the memory or the number of open files."""


class ImageReader:
    """Reads images as RGB: upright as EXIF says, transparent pixels on white, of several pages the first.

    Each thing that needs a person's eye, such as pages that are passed over, is told once by a reader.

    Args:
        white_level: Value of white in samples of more than 8 bits, such as 4095 for 12 bits in a file of 16. By default
            the largest value of the type, or what a TIFF file says; 1 for floats.

    Raises:
        ValueError: If the white level is no positive number.
    """

    def __init__(self, white_level: float | None = None) -> None:
        self.white_level = require_white_level(white_level)
        self._told: set[str] = set()

    def read(self, path: str | Path) -> torch.Tensor:
        """Read an image file.

        Args:
            path: Image file.

        Returns:
            Image ``(3, H, W)``, float32 in [0, 1].

        Raises:
            UnreadableImageError: If it is no image, damaged, or holds values that do not fit.
            OSError: If the machine is at fault: no free file handle, a broken disk.
            MemoryError: If the image does not fit into memory.
        """
        image: torch.Tensor = self._checked(path, lambda data: self._to_rgb(decode(data), str(path)))
        return image

    def read_bytes(self, data: bytes, name: str) -> torch.Tensor:
        """Read the content of an image file, which need not lie on a disk.

        Args:
            data: The content.
            name: What messages call it.

        Returns:
            As of :meth:`read`.

        Raises:
            UnreadableImageError: As of :meth:`read`.
            MemoryError: As of :meth:`read`.
        """
        image: torch.Tensor = self._converted(data, name, lambda content: self._to_rgb(decode(content), name))
        return image

    def read_mask(self, path: str | Path, least: float = 0.0) -> Mask:
        """Read the mask of an abnormal image, turned upright as the image is.

        Args:
            path: Image file.
            least: Grey level in [0, 1] that marked pixels exceed.

        Returns:
            ``(H, W)``, uint8, 1 where it is marked.

        Raises:
            UnreadableImageError: As of :meth:`read`.
            OSError: As of :meth:`read`.
        """
        return self._checked(path, lambda data: _marked(decode(data), least))

    def size(self, path: str | Path) -> tuple[int, int]:
        """Height and width of the upright image in a file. Its pixels are read only if that cannot be told otherwise.

        Raises:
            UnreadableImageError: If it is no image.
            OSError: As of :meth:`read`.
        """
        size: tuple[int, int] = self._checked(path, decode_size)
        return size

    def convert(self, image: Any, channel_order: ChannelOrder = "rgb") -> torch.Tensor:  # noqa: ANN401
        """Take an image in memory, or read it from a file.

        Args:
            image: Path; Pillow image; array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``; or tensor ``(3, H, W)`` or
                ``(1, H, W)``. Of booleans, uint8, uint16, or floats in [0, 1]; of other numbers with a white level.
            channel_order: Order of the colours in arrays and tensors; ``"bgr"`` for those of OpenCV.

        Returns:
            Image ``(3, H, W)``, float32 in [0, 1].

        Raises:
            ValueError: If it is something else, or its values do not fit.
        """
        if isinstance(image, str | Path):
            return self.read(image)
        name = f"image ({type(image).__name__})"
        try:
            return self._to_rgb(_samples_in_memory(image, channel_order), name)
        except (ValueError, OSError) as error:
            msg = f"Cannot take the {name}: {error}."
            raise ValueError(msg) from error

    def _to_rgb(self, samples: Samples, name: str) -> torch.Tensor:
        image = to_rgb(samples, self.white_level)
        if samples.passed_over:
            self._tell_once("passed over", "%s holds %s, which are not read", name, samples.passed_over)
        if split_alpha(samples.values)[1] is not None:
            self._tell_once("alpha", "%s is transparent in parts, which are read as white", name)
        if self.white_level is None and is_dark(samples):
            largest = samples.values.max()
            text = (
                "%s has no value above %d, and is read as if %d were white, which makes it dark. If white is a smaller "
                "value, give it: white_level=4095 for 12 bits"
            )
            self._tell_once("dark", text, name, largest, samples.white)
        return image

    def _tell_once(self, kind: str, text: str, *values: object) -> None:
        if kind not in self._told:
            self._told.add(kind)
            logger.warning(f"{text}. Other images of this kind are not named.", *values)  # noqa: G004  # ours

    @classmethod
    def _checked(cls, path: str | Path, convert: Any) -> Any:  # noqa: ANN401
        return cls._converted(_content_of(path), path, convert)

    @staticmethod
    def _converted(data: bytes, path: str | Path, convert: Any) -> Any:  # noqa: ANN401
        try:
            return convert(data)
        except MemoryError as error:
            msg = f"There is not enough memory to read the image {path}. Make it smaller, or use fewer workers."
            raise MemoryError(msg) from error
        except UnidentifiedImageError as error:
            msg = f"Cannot read the image {path}: it is no image, or of an unknown kind. Remove it or replace it."
            raise UnreadableImageError(msg) from error
        except Exception as error:  # decoders raise any exception on damaged files
            msg = f"Cannot read the image {path}: {error}. Remove it or replace it."
            raise UnreadableImageError(msg) from error


def read_image(path: str | Path) -> torch.Tensor:
    """Read an image file as :meth:`ImageReader.read` does, without a white level."""
    return ImageReader().read(path)


def require_white_level(white_level: Any) -> float | None:  # noqa: ANN401  # anything may be given
    """Check a white level.

    Raises:
        ValueError: If it is no positive number.
    """
    if white_level is None:
        return None
    if isinstance(white_level, bool) or not isinstance(white_level, int | float) or not 0 < white_level < float("inf"):
        msg = f"white_level is the value of white, a positive number such as 4095; got {white_level!r}."
        raise ValueError(msg)
    return float(white_level)


def _content_of(path: str | Path) -> bytes:
    """Content of a regular file: opening a pipe would wait for somebody to write.

    Raises:
        UnreadableImageError: If there is no such file, or none that may be read.
        OSError: If the machine is at fault.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            msg = f"Cannot read the image {path}: it is no regular file. Remove it."
            raise UnreadableImageError(msg)
        return path.read_bytes()
    except ValueError as error:
        if isinstance(error, UnreadableImageError):
            raise
        msg = f"Cannot read the image {str(path)!r}: its name holds a NUL. Correct it."
        raise UnreadableImageError(msg) from error
    except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as error:
        msg = f"Cannot read the image {path}: {error.strerror}. Remove it or replace it."
        raise UnreadableImageError(msg) from error


def _samples_in_memory(image: object, channel_order: ChannelOrder) -> Samples:
    if isinstance(image, Image.Image):
        return samples_of_pil(image)
    if isinstance(image, torch.Tensor):
        planes = image.detach().cpu()
        if planes.ndim != 3 or planes.shape[0] not in {1, 3}:
            msg = f"a tensor must be (3, H, W) or (1, H, W); got {planes.dtype} of shape {tuple(planes.shape)}"
            raise ValueError(msg)
        return samples_of_array(planes.permute(1, 2, 0).numpy(), channel_order)
    if isinstance(image, np.ndarray):
        return samples_of_array(image, channel_order)
    msg = "expected a path, a Pillow image, an array or a tensor"
    raise ValueError(msg)  # as for all that does not fit


def _marked(samples: Samples, least: float) -> Mask:
    """Mark the pixels whose grey exceeds a level. Alpha does not matter."""
    colour, _ = split_alpha(samples.values)
    largest = float(colour.max())
    white = samples.white
    if white is None:
        white = max(largest, 1.0)
    require_range(colour, max(white, largest))
    levels = torch.from_numpy(colour.astype(np.float32) / white)
    grey = levels[..., 0] if colour.shape[2] == 1 else levels @ _GREY
    least = max(least, _LEAST_GREY if white_of_type(colour.dtype) == 255 else 0.0)
    return Mask(grey > least, dtype=torch.uint8)
