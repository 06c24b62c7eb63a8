# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reading images, those of 16 bits included."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2.functional import to_dtype, to_image

# Pillow's modes for 16-bit grey. anomalib converts them to RGB directly, which clips all but the darkest to white.
_SIXTEEN_BIT = ("I;16", "I;16B", "I;16L", "I")
_SIXTEEN_BIT_MAX = 65535


def read_image(path: str | Path) -> torch.Tensor:
    """Read an image as RGB.

    Args:
        path: Image file: grey, RGB or RGBA, of 8 or 16 bits. Floats are taken as values of 8 bits, as anomalib does.

    Returns:
        ``(3, H, W)`` float32 in [0, 1].

    Raises:
        ValueError: If it cannot be read, or holds floats up to 1, which would be black; the file is named.
    """
    try:
        with Image.open(path) as image:
            if image.mode == "F":
                _require_eight_bit_range(image)
            if image.mode not in _SIXTEEN_BIT:
                return torch.as_tensor(to_dtype(to_image(image.convert("RGB")), torch.float32, scale=True))
            grey = torch.from_numpy(np.asarray(image, dtype=np.float32) / _SIXTEEN_BIT_MAX)
    except Exception as error:  # decoders of damaged files raise what they like
        msg = f"Cannot read the image {path}: {error}. Remove it or replace it."
        raise ValueError(msg) from error
    return grey.clamp(0, 1).expand(3, -1, -1)


def _require_eight_bit_range(image: Image.Image) -> None:
    """Check that floats are not in [0, 1]."""
    largest = float(np.asarray(image).max())
    if 0 < largest <= 1:
        msg = f"its floats go up to {largest:g} and are read as values of 8 bits, up to 255: save it with 8 or 16 bits"
        raise ValueError(msg)


def is_sixteen_bit(path: str | Path) -> bool:
    """Whether a file holds grey values of 16 bits. Only its header is read; what is no image file does not."""
    try:
        with Image.open(path) as image:
            return image.mode in _SIXTEEN_BIT
    except OSError:
        return False
