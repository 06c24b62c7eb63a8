# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reading images of any depth."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from anomalib_adaptclip.files.image_reader import is_sixteen_bit, read_image


@pytest.mark.parametrize(("name", "mode"), [("a.png", "I;16"), ("a.tif", "I;16"), ("b.tif", "I;16B"), ("i.tif", "I")])
def test_sixteen_bits(tmp_path: Path, name: str, mode: str) -> None:
    grey = np.array([[0, 32768], [65535, 100]], dtype=np.uint16)
    types = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}
    Image.frombytes(mode, (2, 2), grey.astype(types[mode]).tobytes()).save(tmp_path / name)
    assert is_sixteen_bit(tmp_path / name)
    expected = torch.from_numpy(grey.astype(np.float32) / 65535).expand(3, -1, -1)
    torch.testing.assert_close(read_image(tmp_path / name), expected)


def test_deeper_values_are_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.array([[70_000, -5]], dtype=np.int32)).save(tmp_path / "a.tif")
    torch.testing.assert_close(read_image(tmp_path / "a.tif"), torch.tensor([[1.0, 0.0]]).expand(3, -1, -1))


@pytest.mark.parametrize("largest", [0.0, 51.0, 255.0])
def test_floats_are_values_of_eight_bits(tmp_path: Path, largest: float) -> None:
    Image.fromarray(np.array([[0, largest]], dtype=np.float32)).save(tmp_path / "a.tif")
    torch.testing.assert_close(read_image(tmp_path / "a.tif"), torch.tensor([[0, largest / 255]]).expand(3, -1, -1))


def test_floats_that_would_be_black(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 0.5]], dtype=np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ValueError, match=r"Cannot read the image .*a\.tif: its floats go up to 0\.5 .* 8 or 16 bits"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "CMYK", "1"])
def test_eight_bits(tmp_path: Path, mode: str) -> None:
    Image.new("RGB", (3, 2), (255, 255, 255)).convert(mode).save(tmp_path / "a.tif")
    assert not is_sixteen_bit(tmp_path / "a.tif")
    torch.testing.assert_close(read_image(tmp_path / "a.tif"), torch.ones(3, 2, 3))


def test_what_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no image")
    assert not is_sixteen_bit(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"Cannot read the image .*a\.png"):
        read_image(tmp_path / "a.png")
