# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Samples of an image as its file or array holds them, and how they become RGB in [0, 1].

Letters: H and W pixels of the upright image, C samples of a pixel.
"""

from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image
from torchvision.transforms.v2.functional import to_dtype

ChannelOrder = Literal["rgb", "bgr"]

SIXTEEN_BIT_WHITE = 65535
_FAR_BELOW = 4  # the largest of 12 bits is a sixteenth of the largest of 16, that of 14 bits a quarter
_ROUNDING = 1e-6
_CHANNELS = (1, 2, 3, 4)  # grey, grey and alpha, RGB, RGB and alpha


class Samples(NamedTuple):
    """Samples of an upright image, not scaled yet.

    Attributes:
        values: ``(H, W, C)``: grey, grey and alpha, RGB, or RGB and alpha. Integers or floats.
        white: Value of white; None where nothing says it.
        is_stated: Whether the file says which value is white, rather than the number of its bits.
        is_inverted: Whether 0 is white, and ``white`` is black.
        passed_over: What else the file holds and is not read, such as ``"2 more pages"``; usually empty.
    """

    values: np.ndarray[Any, Any]
    white: float | None
    is_stated: bool = False
    is_inverted: bool = False
    passed_over: str = ""


def samples_of_array(array: np.ndarray[Any, Any], channel_order: ChannelOrder = "rgb") -> Samples:
    """Take the samples of an array.

    Args:
        array: ``(H, W)``, ``(H, W, 1)``, ``(H, W, 3)`` or ``(H, W, 4)`` of booleans, uint8, uint16 or floats in [0, 1];
            others need a white level.
        channel_order: Order of the colours; an alpha comes last.

    Raises:
        ValueError: If the shape or the type is another.
    """
    values = array[..., None] if array.ndim == 2 else array
    if values.ndim != 3 or values.shape[2] not in _CHANNELS or not values.size or values.dtype.kind not in "biuf":
        msg = f"an array must be (H, W), (H, W, 3) or (H, W, 4) of numbers; got {array.dtype} of shape {array.shape}"
        raise ValueError(msg)
    if channel_order == "bgr" and values.shape[2] >= 3:
        values = values[..., [2, 1, 0, *range(3, values.shape[2])]]
    return Samples(values, white_of_type(values.dtype))


def samples_of_pil(image: Image.Image) -> Samples:
    """Take the samples of a Pillow image, turned upright by its EXIF orientation. The image is loaded."""
    image.load()
    pages = getattr(image, "n_frames", 1)
    passed_over = f"{pages - 1} more pages" if pages > 1 else ""
    orientation = orientation_of(image)  # after loading, in which Pillow turns TIFF files itself
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image)[..., None]
        # Pillow reads 16 bits of PNG and PGM as 32 in some releases, and has scaled PGM to 16 bits by then.
        is_sixteen_bit = image.mode != "I" or image.format in {"PNG", "PPM"}
        white = 1.0 if image.mode == "F" else SIXTEEN_BIT_WHITE if is_sixteen_bit else None
        return Samples(turned(values, orientation), white, image.format == "PPM", passed_over=passed_over)
    values = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    return Samples(turned(values, orientation), 255, passed_over=passed_over)


def white_of_type(dtype: np.dtype[Any]) -> float | None:
    """Value of white in samples of a type: the largest of up to 16 bits, 1 in floats, None for wider integers."""
    if dtype.kind in "fb":
        return 1.0
    return float(np.iinfo(dtype).max) if dtype.itemsize <= 2 else None


def orientation_of(image: Image.Image) -> int:
    """EXIF orientation of a Pillow image, from 1 to 8; 1 also where the EXIF block is damaged."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # noqa: BLE001, RUF100  # as decoders: anything. Then nobody can turn the image
        return 1


def turned(values: np.ndarray[Any, Any], orientation: int) -> np.ndarray[Any, Any]:
    """Turn stored samples ``(H, W, C)`` upright.

    Args:
        values: Samples as they are stored.
        orientation: As EXIF counts it: 1 upright, 3 upside down, 6 to be turned clockwise, 8 counter-clockwise; 2, 4, 5
            and 7 mirrored. Other numbers mean nothing.
    """
    if orientation in {5, 6, 7, 8}:
        values = values.swapaxes(0, 1)
    if orientation in {3, 4, 7, 8}:
        values = values[::-1]
    if orientation in {2, 3, 6, 7}:
        values = values[:, ::-1]
    return values


def to_rgb(samples: Samples, white_level: float | None = None) -> torch.Tensor:
    """Scale samples to [0, 1], and bring them to RGB. Transparent pixels show white behind them.

    Args:
        samples: Samples of an image.
        white_level: Value of white in samples of more than 8 bits, in place of what is known of it.

    Returns:
        Image ``(3, H, W)``, float32 in [0, 1].

    Raises:
        ValueError: If a value is not finite, negative, or above white, or nothing says which value is white.
    """
    white = white_of(samples, white_level)
    colour, alpha = split_alpha(samples.values)
    require_range(colour, white)
    image = _scaled(colour, white)
    if samples.is_inverted:
        image = 1 - image
    if alpha is not None:
        opacity = _scaled(alpha, white_of_type(alpha.dtype) or white).clamp(0, 1)
        image = image * opacity + (1 - opacity)
    return image.clamp(0, 1).expand(3, -1, -1).contiguous()


def white_of(samples: Samples, white_level: float | None) -> float:
    """Value of white: as the user says, as the file says, or by the type.

    Raises:
        ValueError: If none of them says it.
    """
    if white_level is not None and not is_eight_bit(samples):
        return white_level
    if samples.white is None:
        msg = (
            f"it holds {samples.values.dtype} up to {samples.values.max()}, and nothing says which value is white. "
            "Give white_level, such as white_level=4095 for 12 bits"
        )
        raise ValueError(msg)
    return samples.white


def is_eight_bit(samples: Samples) -> bool:
    """Whether samples have 8 bits or fewer, for which a white level is no question."""
    return samples.values.dtype.kind == "b" or bool(samples.values.dtype == np.uint8)


def is_dark(samples: Samples) -> bool:
    """Whether integers of more than 8 bits are so small that white may be a smaller value than the type says."""
    if samples.is_stated or is_eight_bit(samples) or samples.values.dtype.kind == "f" or samples.white is None:
        return False
    largest = float(split_alpha(samples.values)[0].max())
    return 0 < largest <= samples.white / _FAR_BELOW


def split_alpha(values: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any] | None]:
    """Colours ``(H, W, 1 or 3)`` and alpha ``(H, W, 1)``, None where there is none or all is opaque."""
    colours = values.shape[2] - (values.shape[2] in {2, 4})
    alpha = values[..., colours:] if colours < values.shape[2] else None
    if alpha is not None and (alpha == (white_of_type(alpha.dtype) or alpha.max())).all():
        alpha = None
    return values[..., :colours], alpha


def require_range(values: np.ndarray[Any, Any], white: float) -> None:
    """Check that samples lie between 0 and white.

    Raises:
        ValueError: If one does not, or is not finite.
    """
    if values.dtype == np.uint8 or values.dtype.kind == "b":
        return
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        msg = "it holds values that are not finite (NaN or infinite). Replace them"
        raise ValueError(msg)
    smallest, largest = values.min(), values.max()
    if smallest < 0 or largest > white * (1 + _ROUNDING):
        msg = (
            f"it holds values from {smallest:g} to {largest:g}, and they must lie between 0 and {white:g}. Give "
            "white_level, the value of white, or convert the image"
        )
        raise ValueError(msg)


def _scaled(values: np.ndarray[Any, Any], white: float) -> torch.Tensor:
    """Divide ``(H, W, C)`` by white: ``(C, H, W)``, float32."""
    planes = np.ascontiguousarray(values.transpose(2, 0, 1))
    if planes.dtype == np.uint8:
        return torch.as_tensor(to_dtype(torch.from_numpy(planes), torch.float32, scale=True))  # as anomalib does
    return torch.from_numpy(planes.astype(np.float64) / white).float()
