# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From a form of HTTP to photos."""

from collections.abc import Sequence

from fastapi import HTTPException, UploadFile

from .judge import Photo
from .limits import Limits

_LONGEST_NAME = 255


async def photos_of(
    images: Sequence[UploadFile],
    categories: Sequence[str],
    known: Sequence[str] | None,
    limits: Limits,
    *,
    wants_map: bool,
    wants_picture: bool,
) -> list[Photo]:
    """Take what a form holds.

    Args:
        images: Its files.
        categories: What they show: a name for all, or one for each.
        known: Names that the model's prompt bank knows; None without a bank.
        limits: What is taken.
        wants_map: Whether maps are wanted.
        wants_picture: Whether pictures are wanted.

    Raises:
        HTTPException: If it does not fit; it says what to send instead.
    """
    if len(images) > limits.images:
        raise HTTPException(413, f"A request may have {limits.images} images; got {len(images)}. Send several.")
    each = _category_of_each(categories, known, len(images))
    return [
        Photo(_name_of(image, number), await image.read(), category, wants_map, wants_picture)
        for number, (image, category) in enumerate(zip(images, each, strict=True), start=1)
    ]


def _category_of_each(categories: Sequence[str], known: Sequence[str] | None, count: int) -> Sequence[str | None]:
    if known is None:
        if categories:
            raise HTTPException(422, f"The model has no prompt bank; got category {categories[0]!r}. Leave it out.")
        return [None] * count
    names = ", ".join(known)
    if len(categories) not in {1, count}:
        text = f"category must be given once for all images, or once for each; got {len(categories)} for {count}."
        raise HTTPException(422, f"{text} The prompt bank knows {names}.")
    if wrong := [name for name in categories if name not in known]:
        raise HTTPException(422, f"The prompt bank does not know the category {wrong[0]!r}. It knows {names}.")
    return categories if len(categories) == count else [*categories] * count


def _name_of(image: UploadFile, number: int) -> str:
    """Name of a file, which comes from outside: in one line and not long."""
    name = "".join(sign if sign.isprintable() else "?" for sign in image.filename or "")
    return name[:_LONGEST_NAME] or f"image {number}"
