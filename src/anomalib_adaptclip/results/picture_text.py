# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Text in pictures: fonts, lengths, numbers."""

from functools import lru_cache
from pathlib import Path

import matplotlib as mpl
from PIL import ImageFont

INK = (33, 37, 41)
FAINT = (96, 103, 110)
PAPER = (255, 255, 255)

_FONTS = Path(mpl.get_data_path(), "fonts", "ttf")  # Pillow's own font has no letters beyond ASCII


@lru_cache
def font(size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along: Latin, Greek, Cyrillic and Arabic letters."""
    return ImageFont.truetype(_FONTS / f"DejaVuSans{'-Bold' if bold else ''}.ttf", size)


def shortened(text: str, width: float, letters: ImageFont.FreeTypeFont) -> str:
    """The end of a text that fits into a width in pixels: of a path the file's name is what tells.

    What cannot be printed, such as a line break in a file's name, is a question mark.
    """
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(f"…{text}") > width:
        text = text[1:]
    return f"…{text}"


def number(value: float, other: float | None = None) -> str:
    """Three digits of a number, and more where it would read as another one that it is not."""
    for digits in (3, 4, 5, 6):
        text = f"{value:.{digits}g}"
        if other is None or value == other or text != f"{other:.{digits}g}":
            return text
    return text


def percent(share: float) -> str:
    """A share from 0 to 1 in percent, with a digit behind the point where it is small."""
    return "less than 0.1%" if share < 0.001 else f"{share:.1%}" if share < 0.0995 else f"{share:.0%}"
