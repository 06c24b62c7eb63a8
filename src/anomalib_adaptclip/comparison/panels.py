# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Draws the small pictures of the report: a photograph, a mask, a map. Letters: H and W pixels."""

import io
from copy import copy
from typing import Any

import numpy as np
import torch
from anomalib.data import AnomalibDataset
from matplotlib import colormaps
from PIL import Image
from torchvision.transforms.v2.functional import to_pil_image

from anomalib_adaptclip.data.reading import BatchReading
from anomalib_adaptclip.files.image_reader import ImageReader

from .gallery_file import Panel

SIDE = 160  # length of a picture's longer side in pixels
COLOUR_MAP = "inferno"  # its brightness rises evenly, so that the colour-blind can read it too


def picture_size(height: int, width: int) -> tuple[int, int]:
    """Return the width and height of a picture, in the aspect ratio of an image."""
    scale = SIDE / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def photograph(image: torch.Tensor) -> bytes:
    """Encode an image ``(3, H, W)`` in [0, 1] as a small JPEG."""
    size = picture_size(image.shape[-2], image.shape[-1])
    return _encode(to_pil_image(image.cpu()).resize(size, Image.Resampling.LANCZOS), "JPEG", quality=85)


def to_colours(values: torch.Tensor, low: float, spread: float, size: tuple[int, int], kind: str) -> bytes:
    """Encode a map as a small picture.

    Args:
        values: Map ``(H, W)``.
        low: Value of the darkest colour.
        spread: Difference of the brightest colour's value, above 0.
        size: Width and height of the picture.
        kind: ``"PNG"``, without loss, or ``"JPEG"``, which takes a third of the bytes.
    """
    levels = np.round((values.float().cpu().numpy() - low) / spread * 255).clip(0, 255).astype(np.uint8)
    picture = Image.fromarray(levels).resize(size, Image.Resampling.BILINEAR)
    picture.putpalette((colormaps[COLOUR_MAP](np.arange(256))[:, :3] * 255).round().astype(np.uint8).tobytes())
    return _encode(picture, "PNG", optimize=True) if kind == "PNG" else _encode(picture.convert("RGB"), kind)


def mask_panel(file: str, mask: torch.Tensor, size: tuple[int, int]) -> Panel:
    """Draw a mask, white where it is abnormal.

    Args:
        file: Name of the picture's file.
        mask: Mask ``(H, W)`` or ``(1, H, W)``, above 0 for abnormal pixels.
        size: Width and height of the picture.
    """
    abnormal = Image.fromarray((torch.as_tensor(mask).squeeze() > 0).byte().mul(255).cpu().numpy())
    return Panel("mask", file, _encode(abnormal.resize(size, Image.Resampling.BOX), "PNG", optimize=True))


def mask_of_file(dataset: AnomalibDataset, index: int, reader: ImageReader) -> Any:  # noqa: ANN401  # torchvision's
    """Read the mask of an image with the pixels of its file, None where there is none.

    Args:
        dataset: Data set of the image.
        index: Number of the image in it.
        reader: Reads the files.
    """
    whole = copy(dataset)
    whole.augmentations = None
    return BatchReading(whole, reader)([index])[0].gt_mask


def _encode(picture: Image.Image, kind: str, **options: Any) -> bytes:  # noqa: ANN401
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
