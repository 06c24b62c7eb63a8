# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads images with 8 or 16 bits."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_dtype, to_image

# Pillow's modes for 16-bit grey. anomalib converts them to RGB directly, which makes all but the darkest values white.
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")
_SIXTEEN_BIT_MAX = 65535


def read_image(path: str | Path) -> torch.Tensor:
    """Read an image as RGB.

    Args:
        path: Image file, grey, RGB or RGBA, with 8 or 16 bits. Floats are read as values from 0 to 255, as in anomalib.

    Returns:
        Image ``(3, H, W)``, float32 in [0, 1].

    Raises:
        ValueError: If the file cannot be read, or its floats are at most 1 and would therefore be black.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "F":
                _require_eight_bit_range(image)
            if image.mode not in _SIXTEEN_BIT:
                return torch.as_tensor(to_dtype(to_image(image.convert("RGB")), torch.float32, scale=True))
            grey = torch.from_numpy(np.asarray(image, dtype=np.float32) / _SIXTEEN_BIT_MAX)
    except Exception as error:  # decoders raise any exception on damaged files
        msg = f"Cannot read the image {path}: {error}. Remove it or replace it."
        raise ValueError(msg) from error
    return grey.clamp(0, 1).expand(3, -1, -1)


def _require_eight_bit_range(image: Image.Image) -> None:
    """Check that the floats of an image are not in [0, 1]."""
    largest = float(np.asarray(image).max())
    if 0 < largest <= 1:
        msg = f"its floats go up to {largest:g} and are read as values of 8 bits, up to 255: save it with 8 or 16 bits"
        raise ValueError(msg)


def is_sixteen_bit(path: str | Path) -> bool:
    """Tell whether an image file holds grey values with 16 bits. Only its header is read.

    Args:
        path: Image file. The answer is False if it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return image.mode in _SIXTEEN_BIT
    except OSError:
        return False
