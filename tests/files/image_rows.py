# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Image files of every kind, each with what must reach the model. `docs/images.md` has the same rows."""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import tifffile
import torch
from PIL import ExifTags, Image

from anomalib_adaptclip.files.image_samples import turned

HEIGHT, WIDTH = 44, 60
Array = np.ndarray[Any, Any]


class Row(NamedTuple):
    """A kind of file.

    Attributes:
        name: File name.
        write: Writes it.
        image: What must be read, ``(H, W, 3)`` in [0, 1]; None if the file must be refused.
        tolerance: How far what is read may be from it; more than rounding only for lossy formats.
        refusal: What the error must say.
        told: What a warning must say, if there must be one.
    """

    name: str
    write: Callable[[Path], Any]
    image: Array | None = None
    tolerance: float = 1e-6
    refusal: str = ""
    told: str = ""


def picture(levels: int = 256, channels: int = 3) -> Array:
    """Smooth colours with a scratch, unlike when turned or mirrored: ``(H, W, channels)`` of integers."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH] / max(HEIGHT, WIDTH)
    planes = [0.2 + 0.6 * x, 0.9 - 0.7 * y, 0.3 + 0.3 * x + 0.3 * y, 0.25 + 0.5 * y][:channels]
    image = np.stack(planes, axis=-1)
    image[5:8, 10:40] = 0.05
    return np.asarray((image * (levels - 1)).round(), dtype=np.uint8 if levels <= 256 else np.uint16)


EIGHT = picture()
GREY = EIGHT[..., 0]
SIXTEEN = picture(65536)
SIXTEEN_GREY = SIXTEEN[..., 0]


def rgb(values: Array, white: float) -> Array:
    """Scale to [0, 1]; grey becomes RGB."""
    image = values.astype(np.float64) / white
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def on_white(values: Array, white: float) -> Array:
    """Colours with alpha over white."""
    scaled = values.astype(np.float64) / white
    return rgb(scaled[..., :-1] * scaled[..., -1:] + 1 - scaled[..., -1:], 1).repeat(3 // (values.shape[2] - 1), axis=2)


def pil(array: Array, mode: str | None = None, **options: Any) -> Callable[[Path], None]:
    """Write by Pillow, in a mode of it."""

    def write(path: Path) -> None:
        image = Image.fromarray(array)
        (image.convert(mode) if mode else image).save(path, **options)

    return write


def tiff(array: Array, **options: Any) -> Callable[[Path], Any]:
    """Write by tifffile."""
    return lambda path: tifffile.imwrite(path, array, **options)


def opencv(array: Array) -> Callable[[Path], None]:
    """Write by OpenCV, which writes 16 bits with colours."""
    order = {2: [0, 1], 3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(array.shape[2] if array.ndim == 3 else 0)

    def write(path: Path) -> None:
        done, data = cv2.imencode(".png", array if order is None else np.ascontiguousarray(array[..., order]))
        assert done
        path.write_bytes(data.tobytes())

    return write


def packed_tiff(array: Array, bits: int) -> Callable[[Path], None]:
    """Write grey values of 10 or 12 bits one behind the other, as cameras do."""

    def write(path: Path) -> None:
        digits = (array[..., None] >> np.arange(bits - 1, -1, -1)) & 1
        data = np.packbits(digits.reshape(len(array), -1).astype(np.uint8), axis=1).tobytes()
        height, width = array.shape
        tags = ((256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, height))
        entries = [struct.pack("<HHII", code, 4, 1, value) for code, value in (*tags, (279, len(data)))]
        directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
        path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data)) + data + directory)

    return write


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[ExifTags.Base.Orientation] = orientation
    return block


def stored(array: Array, orientation: int) -> Array:
    """How a camera stores what is upright, for an orientation: the inverse of turning it upright."""
    inverse = {6: 8, 8: 6}.get(orientation, orientation)
    return np.ascontiguousarray(turned(array, inverse))


def oriented(orientation: int) -> list[Row]:
    eight, deep = stored(EIGHT, orientation), stored(SIXTEEN, orientation)
    tag = (274, "H", 1, orientation, True)
    named = f"orientation_{orientation}"
    return [
        Row(f"{named}.png", pil(eight, exif=exif(orientation)), rgb(EIGHT, 255)),
        Row(f"{named}.jpg", pil(eight, exif=exif(orientation), quality=95, subsampling=0), rgb(EIGHT, 255), 0.15),
        Row(f"{named}.webp", pil(eight, exif=exif(orientation), lossless=True), rgb(EIGHT, 255)),
        Row(f"{named}.tif", tiff(eight, photometric="rgb", extratags=[tag]), rgb(EIGHT, 255)),
        Row(f"{named}_16.tif", tiff(deep, photometric="rgb", extratags=[tag]), rgb(SIXTEEN, 65535)),
        Row(
            f"{named}_grey16.tif",
            tiff(np.ascontiguousarray(deep[..., 0]), photometric="minisblack", extratags=[tag]),
            rgb(SIXTEEN_GREY, 65535),
        ),
    ]


def _cut(write: Callable[[Path], Any], share: float = 0.5) -> Callable[[Path], None]:
    def write_part(path: Path) -> None:
        write(path)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return write_part


def _with_hole(write: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Change a byte of the pixels, which a checksum notices."""

    def write_changed(path: Path) -> None:
        write(path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 255
        path.write_bytes(data)

    return write_changed


_alpha8 = np.dstack([EIGHT, np.where(np.arange(WIDTH) < 30, 255, 0)[None].repeat(HEIGHT, 0)]).astype(np.uint8)
_half8 = np.dstack([EIGHT, np.full((HEIGHT, WIDTH), 102, dtype=np.uint8)])
_opaque8 = np.dstack([EIGHT, np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)])
_grey_alpha8 = np.dstack([GREY, _alpha8[..., 3]])
_alpha16 = np.dstack([SIXTEEN, np.where(np.arange(WIDTH) < 30, 65535, 0)[None].repeat(HEIGHT, 0)]).astype(np.uint16)
_bits = np.asarray(GREY > 128)
_PROGRAM = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"  # Pillow would run a program for it
_palette = Image.fromarray(EIGHT).quantize(64)
_signed = (SIXTEEN_GREY // 2).astype(np.int16)
_floats = (SIXTEEN_GREY / 65535).astype(np.float32)
_float_colours = (SIXTEEN / 65535).astype(np.float32)


def _spoilt(value: float) -> Array:
    floats: Array = _floats.copy()
    floats[3, 4] = value
    return floats


def _twelve() -> Array:
    return picture(4096)[..., 0]


def _ten() -> Array:
    return picture(1024)[..., 0]


def _transparent_palette(path: Path) -> None:
    _palette.save(path, transparency=_palette.getpixel((20, 6)))


def _transparent_palette_image() -> Array:
    image: Array = np.asarray(_palette.convert("RGB")).astype(np.float64) / 255
    image[np.asarray(_palette) == _palette.getpixel((20, 6))] = 1
    return np.asarray(image)


READ = [
    # 8 bits and fewer
    Row("rgb.png", pil(EIGHT), rgb(EIGHT, 255)),
    Row("grey.png", pil(GREY), rgb(GREY, 255)),
    Row("bits.png", pil(_bits), rgb(_bits, 1)),
    Row("bits.tif", pil(_bits), rgb(_bits, 1)),
    Row("palette.png", _palette.save, np.asarray(_palette.convert("RGB")) / 255),
    Row("palette_clear.png", _transparent_palette, _transparent_palette_image(), told="transparent"),
    Row("grey_alpha.png", pil(_grey_alpha8), on_white(_grey_alpha8, 255), told="transparent"),
    Row("alpha.png", pil(_alpha8), on_white(_alpha8, 255), told="transparent"),
    Row("alpha.webp", pil(_alpha8, lossless=True, exact=True), on_white(_alpha8, 255), told="transparent"),
    Row("alpha.tif", pil(_alpha8), on_white(_alpha8, 255), told="transparent"),
    Row("half.png", pil(_half8), on_white(_half8, 255), told="transparent"),
    Row("opaque.png", pil(_opaque8), rgb(EIGHT, 255)),
    Row("rgb.bmp", pil(EIGHT), rgb(EIGHT, 255)),
    Row("rgb.ppm", pil(EIGHT), rgb(EIGHT, 255)),
    Row("grey.pgm", pil(GREY), rgb(GREY, 255)),
    Row("rgb.tif", tiff(EIGHT, photometric="rgb"), rgb(EIGHT, 255)),
    Row("inverted.tif", tiff(255 - GREY, photometric="miniswhite"), rgb(GREY, 255)),
    Row("rgb.webp", pil(EIGHT, lossless=True), rgb(EIGHT, 255)),
    Row("rgb.jpg", pil(EIGHT, quality=95, subsampling=0), rgb(EIGHT, 255), 0.15),
    Row("progressive.jpg", pil(EIGHT, quality=95, subsampling=0, progressive=True), rgb(EIGHT, 255), 0.15),
    Row("grey.jpg", pil(GREY, quality=95), rgb(GREY, 255), 0.15),
    Row("cmyk.jpg", pil(EIGHT, "CMYK", quality=95, subsampling=0), rgb(EIGHT, 255), 0.15),
    Row("cmyk.tif", pil(EIGHT, "CMYK"), rgb(EIGHT, 255), 0.01),
    # more than 8 bits
    Row("grey16.png", opencv(SIXTEEN_GREY), rgb(SIXTEEN_GREY, 65535)),
    Row("rgb16.png", opencv(SIXTEEN), rgb(SIXTEEN, 65535)),
    Row("alpha16.png", opencv(_alpha16), on_white(_alpha16, 65535), told="transparent"),
    Row("grey16.tif", tiff(SIXTEEN_GREY), rgb(SIXTEEN_GREY, 65535)),
    Row("grey16_lzw.tif", pil(SIXTEEN_GREY, compression="tiff_lzw"), rgb(SIXTEEN_GREY, 65535)),
    Row("rgb16.tif", tiff(SIXTEEN, photometric="rgb"), rgb(SIXTEEN, 65535)),
    Row(
        "rgb16_planes.tif",
        tiff(SIXTEEN.transpose(2, 0, 1).copy(), photometric="rgb", planarconfig="separate"),
        rgb(SIXTEEN, 65535),
    ),
    Row(
        "alpha16.tif",
        tiff(_alpha16, photometric="rgb", extrasamples=["unassalpha"]),
        on_white(_alpha16, 65535),
        told="transparent",
    ),
    Row("inverted16.tif", tiff(65535 - SIXTEEN_GREY, photometric="miniswhite"), rgb(SIXTEEN_GREY, 65535)),
    Row("grey16.pgm", pil(SIXTEEN_GREY), rgb(SIXTEEN_GREY, 65535)),
    Row("grey12_packed.tif", packed_tiff(_twelve(), 12), rgb(_twelve(), 4095)),
    Row("grey10_packed.tif", packed_tiff(_ten(), 10), rgb(_ten(), 1023)),
    Row("grey12_stated.tif", tiff(_twelve(), extratags=[(341, "H", 1, 4095, True)]), rgb(_twelve(), 4095)),
    Row("grey12.png", opencv(_twelve()), rgb(_twelve(), 65535), told="white_level"),
    Row("signed16.tif", tiff(_signed), rgb(_signed, 32767)),
    Row(
        "signed32_stated.tif",
        tiff(SIXTEEN_GREY.astype(np.int32), extratags=[(341, "i", 1, 65535, True)]),
        rgb(SIXTEEN_GREY, 65535),
    ),
    Row("float16.tif", tiff(_floats.astype(np.float16)), rgb(_floats.astype(np.float16), 1)),
    Row("float32.tif", tiff(_floats), rgb(_floats, 1)),
    Row("float32_rgb.tif", tiff(_float_colours, photometric="rgb"), rgb(_float_colours, 1)),
    Row("float64.tif", tiff(_floats.astype(np.float64)), rgb(_floats, 1)),
    # several pages
    Row("pages.tif", tiff(np.stack([EIGHT, 255 - EIGHT]), photometric="rgb"), rgb(EIGHT, 255), told="1 more page"),
    Row(
        "pages16.tif",
        tiff(np.stack([SIXTEEN_GREY, 65535 - SIXTEEN_GREY, SIXTEEN_GREY]), photometric="minisblack"),
        rgb(SIXTEEN_GREY, 65535),
        told="2 more pages",
    ),
    Row(
        "animated.png",
        pil(EIGHT, save_all=True, append_images=[Image.fromarray(255 - EIGHT)]),
        rgb(EIGHT, 255),
        told="1 more page",
    ),
    # names
    Row("UPPER.PNG", pil(EIGHT, format="PNG"), rgb(EIGHT, 255)),
    Row("Upper.TIFF", tiff(SIXTEEN_GREY), rgb(SIXTEEN_GREY, 65535)),
    Row("odd {}[b]%s~äß #?&+,;=@$!.png", pil(EIGHT), rgb(EIGHT, 255)),
    Row("line\nbreak.png", pil(EIGHT), rgb(EIGHT, 255)),
    Row(f"{'long' * 60}.png", pil(EIGHT), rgb(EIGHT, 255)),
    Row(f"not_utf8_{os.fsdecode(bytes([0xE9]))}.png", pil(EIGHT), rgb(EIGHT, 255)),
    *(row for orientation in range(1, 9) for row in oriented(orientation)),
]

REFUSED = [
    Row("signed32.tif", tiff(GREY.astype(np.int32)), refusal="nothing says which value is white. Give white_level"),
    Row("unsigned32.tif", tiff(SIXTEEN_GREY.astype(np.uint32)), refusal="Give white_level"),
    Row("negative.tif", tiff(_signed - 5000), refusal="must lie between 0 and 32767"),
    Row("negative_float.tif", tiff(_spoilt(-0.1)), refusal="must lie between 0 and 1"),
    Row("float255.tif", tiff(_floats * 255), refusal="must lie between 0 and 1. Give white_level"),
    Row("float1_01.tif", tiff(_spoilt(1.01)), refusal="must lie between 0 and 1"),
    Row("nan.tif", tiff(_spoilt(float("nan"))), refusal="not finite"),
    Row("infinite.tif", tiff(_spoilt(float("inf"))), refusal="not finite"),
    Row("above.tif", tiff(_twelve(), extratags=[(341, "H", 1, 1000, True)]), refusal="between 0 and 1000"),
    Row("cmyk16.tif", tiff(_alpha16, photometric="separated"), refusal="neither grey nor RGB"),
    Row("truncated.jpg", _cut(pil(EIGHT)), refusal="truncated"),
    Row("truncated.png", _cut(pil(EIGHT)), refusal="Cannot read the image"),
    Row("truncated16.png", _cut(opencv(SIXTEEN)), refusal="Cannot read the image"),
    Row("truncated16.tif", _cut(tiff(SIXTEEN, metadata=None)), refusal="Cannot read the image"),
    Row("changed.png", _with_hole(pil(EIGHT)), refusal="Cannot read the image"),
    Row("empty.png", lambda path: path.write_bytes(b""), refusal="Cannot read the image"),
    Row("text.jpg", lambda path: path.write_text("no image"), refusal="of an unknown kind"),
    Row("program.png", lambda path: path.write_text(_PROGRAM), refusal="of an unknown kind"),
    Row("pipe.png", os.mkfifo, refusal="no regular file"),
    Row("huge.png", lambda path: Image.new("1", (13000, 13000)).save(path), refusal="pixels"),
]


def write_rows(rows: list[Row], folder: Path) -> list[Path]:
    """Write files into a folder, and tell their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / row.name for row in rows]
    for row, path in zip(rows, paths, strict=True):
        row.write(path)
    return paths


def tensor(row: Row) -> torch.Tensor:
    """What must be read: ``(3, H, W)``."""
    assert row.image is not None
    return torch.from_numpy(np.ascontiguousarray(row.image.transpose(2, 0, 1))).float()
