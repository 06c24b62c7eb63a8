# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The picture at the top of the README: it is small, shown, and still what `inspect` draws."""

from pathlib import Path

import numpy as np
from PIL import Image

from scripts import readme_picture

README = Path(__file__).parents[1] / "README.md"


def test_it_is_small_and_at_the_top() -> None:
    assert readme_picture.PICTURE.stat().st_size < 300_000
    top = README.read_text(encoding="utf-8").splitlines()[:10]
    assert any(line.endswith("](docs/inspection.png)") for line in top)


def test_it_is_what_inspect_draws() -> None:
    """If not, run `python -m scripts.readme_picture`, and look at it. Colours are few, and processors round apart."""
    committed = np.asarray(Image.open(readme_picture.PICTURE).convert("RGB"), dtype=float)
    made = np.asarray(readme_picture.make(), dtype=float)
    assert made.shape == committed.shape
    difference = np.abs(made - committed)
    assert difference.mean() < 8
    assert (difference > 64).mean() < 0.02
