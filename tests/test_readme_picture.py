# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The picture at the top of the README: it is small, shown, and still what `inspect` draws."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from scripts import readme_picture

README = Path(__file__).parents[1] / "README.md"


def test_it_is_small_and_at_the_top() -> None:
    assert readme_picture.PICTURE.stat().st_size < 300_000
    top = README.read_text(encoding="utf-8").splitlines()[:10]
    assert any(line.endswith("](docs/inspection.png)") for line in top)


def pixels_of(picture: Image.Image) -> NDArray[Any]:
    return np.asarray(picture.convert("RGB"), dtype=float)


def are_alike(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether they differ by no more than few colours and the rounding of processors."""
    difference = np.abs(one - other)
    return one.shape == other.shape and bool(difference.mean() < 3 and (difference > 64).mean() < 0.002)


def test_it_is_what_inspect_draws() -> None:
    """If not, run `python -m scripts.readme_picture`, and look at it."""
    assert are_alike(pixels_of(readme_picture.make()), pixels_of(Image.open(readme_picture.PICTURE)))


@pytest.mark.parametrize("left", [260, 510], ids=["heat map", "outlines"])
def test_a_missing_panel_would_be_noticed(left: int) -> None:
    committed = pixels_of(Image.open(readme_picture.PICTURE))
    wrong = committed.copy()
    wrong[:, left : left + 240] = committed[:, 10:250]  # the photo in its place
    assert not are_alike(wrong, committed)
