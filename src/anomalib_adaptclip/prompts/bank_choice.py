# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Whether a model has a prompt bank, and what it does with images that the bank has no prompts for."""

from pathlib import Path
from typing import Literal

from anomalib_adaptclip.choices import require_choice

from .bank_file import read_header

UnknownCategory = Literal["zero_shot", "error"]

NEEDS_CATEGORIES = (
    "With a prompt bank each image needs its category, and images alone do not tell it. Predict with the Engine, or "
    "call model.detect(images, categories) on pre-processed images. To export, give the prompts of one category by "
    "k_shot and few_shot_source instead."
)


def require_bank(path: Path | str | None, unknown_category: str, k_shot: int, roi: object | None) -> None:
    """Check a model's arguments that concern its bank.

    Args:
        path: The bank's file, if there is one.
        unknown_category: What to do with unknown categories.
        k_shot: Number of shots besides.
        roi: Region of interest besides.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If there are prompts or a region besides, the file is no bank, or an argument is unknown.
    """
    require_choice("unknown_category", unknown_category, UnknownCategory)
    if path is None:
        require_no_choice(unknown_category)
        return
    if k_shot:
        msg = f"Prompts come from the bank {path} or by k_shot={k_shot}, not both. Leave one out."
        raise ValueError(msg)
    if roi is not None:
        msg = (
            f"With a prompt bank each category has a region of its own, and roi={roi} would be for all. Leave it out, "
            "and give it to `bank-add` or model.add_to_bank."
        )
        raise ValueError(msg)
    read_header(Path(path))


def require_no_choice(unknown_category: str) -> None:
    """Check that nothing is said of unknown categories where there is no bank.

    Raises:
        ValueError: If it is.
    """
    if unknown_category != "zero_shot":
        msg = f"unknown_category={unknown_category!r} is for a prompt bank, and there is none. Give prompt_bank."
        raise ValueError(msg)
