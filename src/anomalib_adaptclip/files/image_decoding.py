# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Decodes image files: Pillow up to 8 bits, tifffile and OpenCV for what Pillow would cut down to 8.

Letters: H and W pixels, C samples of a pixel.
"""

import io
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageFile
from tifffile import TiffFile, TiffPage

from .image_samples import Samples, orientation_of, samples_of_pil, turned, white_of_type

Image.init()  # now: it imports, which fails later in a process without file handles

# Formats of photographs. Pillow knows others, and runs a program for one of them.
_FORMATS = tuple({"AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TIFF", "WEBP"} & Image.OPEN.keys())
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2  # TIFF's PhotometricInterpretation
_S_MAX_SAMPLE_VALUE, _ORIENTATION = 341, 274  # TIFF's tags
_ALPHAS = (1, 2)  # TIFF's ExtraSamples: premultiplied, and not
_EXIF_MARKS = (b"eXIf", b"exif", b"Orientation")


def decode(data: bytes) -> Samples:
    """Decode an image file.

    Args:
        data: The file's content.

    Returns:
        Samples ``(H, W, C)`` of its first page, upright.

    Raises:
        Exception: If it is damaged, too large or of an unknown kind; decoders raise anything.
    """
    if data.startswith(_TIFF_MAGIC) and (samples := _decode_deep_tiff(data)):
        return samples
    with _opened(data) as image:
        is_deep = image.format == "PNG" and image.tile and str(image.tile[0].args).endswith(";16B")
        if is_deep and "transparency" in image.info:
            msg = "it has 16 bits and a transparent colour, which is not supported. Save it with an alpha channel"
            raise ValueError(msg)
        if is_deep and not image.mode.startswith("I"):
            return _decode_deep_png(data, image)
        return samples_of_pil(image)


def decode_size(data: bytes) -> tuple[int, int]:
    """Height and width of the upright image in a file. Its pixels are read only if that cannot be told otherwise.

    Args:
        data: The file's content.

    Raises:
        Exception: If it is damaged or of an unknown kind.
    """
    if data.startswith(_TIFF_MAGIC):
        with TiffFile(io.BytesIO(data)) as file:
            page = _first_page(file)
            size, orientation = (page.imagelength, page.imagewidth), _tag(page, _ORIENTATION, 1)
    else:
        with _opened(data) as image:
            size = (image.height, image.width)
            # A PNG file may say so behind its pixels, and Pillow reads them to look there.
            is_plain = image.format == "PNG" and not any(mark in data for mark in _EXIF_MARKS)
            orientation = 1 if is_plain else orientation_of(image)
    return size[::-1] if orientation in {5, 6, 7, 8} else size


def _opened(data: bytes) -> ImageFile.ImageFile:
    image = Image.open(io.BytesIO(data), formats=_FORMATS)
    _require_pixels(image.height, image.width)
    return image


def _require_pixels(height: int, width: int) -> None:
    """Check that an image is not larger than Pillow's limit, of which Pillow itself only warns.

    Raises:
        ValueError: If it is.
    """
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and height * width > limit:
        msg = (
            f"it has {height} x {width} pixels, more than {limit // 10**6} million. Cut it or make it smaller, or "
            "raise PIL.Image.MAX_IMAGE_PIXELS"
        )
        raise ValueError(msg)


def _decode_deep_png(data: bytes, image: Image.Image) -> Samples:
    """Decode a PNG file with 16 bits and colours or alpha, which Pillow cuts to 8 bits."""
    image.load()  # which notices damage; OpenCV fills in what is missing
    values: Any = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    channels = values.shape[2]
    values = values[..., [2, 1, 0, 3][:channels]]
    return Samples(turned(values, orientation_of(image)), white_of_type(values.dtype))


def _decode_deep_tiff(data: bytes) -> Samples | None:
    """Decode the first page of a TIFF file, None if Pillow does it without a loss: unsigned, up to 8 bits."""
    with TiffFile(io.BytesIO(data)) as file:
        page = _first_page(file)
        if page.dtype is None or (page.bitspersample <= 8 and page.dtype.kind in "bu"):
            return None
        _require_pixels(page.imagelength, page.imagewidth)
        values, passed_over = _channels(page)
        if len(file.pages) > 1:
            passed_over = f"{len(file.pages) - 1} more pages"
        white, is_stated = _white_of_page(page)
        return Samples(
            turned(values, _tag(page, _ORIENTATION, 1)),
            white,
            is_stated,
            is_inverted=page.photometric == _WHITE_IS_ZERO,
            passed_over=passed_over,
        )


def _first_page(file: TiffFile) -> TiffPage:
    page = file.pages[0]
    assert isinstance(page, TiffPage)  # noqa: S101  # the first is always a whole page, for the type checker
    return page


def _channels(page: TiffPage) -> tuple[np.ndarray[Any, Any], str]:
    """Samples ``(H, W, C)`` of a page, and what was passed over.

    Raises:
        ValueError: If they are neither grey nor RGB.
    """
    colours = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3}.get(page.photometric)
    if colours is None or page.imagedepth != 1 or page.samplesperpixel < colours:
        msg = f"it is a TIFF of {page.dtype} that is neither grey nor RGB. Convert it"
        raise ValueError(msg)
    values = page.asarray()
    if page.planarconfig == 2 and page.samplesperpixel > 1:
        values = values.transpose(1, 2, 0)
    values = values.reshape(page.imagelength, page.imagewidth, page.samplesperpixel)
    extra = page.samplesperpixel - colours
    if extra and page.extrasamples[:1] and int(page.extrasamples[0]) in _ALPHAS:
        if int(page.extrasamples[0]) == _ALPHAS[0]:
            msg = f"it is a TIFF of {page.dtype} whose colours are multiplied by alpha. Save it without alpha"
            raise ValueError(msg)
        colours, extra = colours + 1, extra - 1
    if extra and colours <= 2:
        msg = f"it has {page.samplesperpixel} channels, and one (grey) or three (RGB) were expected. Save one of them"
        raise ValueError(msg)
    return values[..., :colours], f"{extra} more channels" if extra else ""


def _white_of_page(page: TiffPage) -> tuple[float | None, bool]:
    """Value of white of a page, and whether the file states it."""
    stated = _tag(page, _S_MAX_SAMPLE_VALUE, None)
    if stated is not None:
        return float(np.max(stated)), True
    assert page.dtype is not None  # noqa: S101  # for the type checker
    if page.dtype.kind == "u" and page.bitspersample < 16:
        return float(2**page.bitspersample - 1), True
    return white_of_type(page.dtype), False


def _tag(page: TiffPage, code: int, default: Any) -> Any:  # noqa: ANN401
    tag = page.tags.get(code)
    return default if tag is None else tag.value
