# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reading images: every kind of file, and images in memory."""

import errno
import logging
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from anomalib_adaptclip.files.image_reader import ImageReader, UnreadableImageError
from tests.files.image_rows import EIGHT, GREY, READ, REFUSED, SIXTEEN, SIXTEEN_GREY, Row, picture, tensor, write_rows


def names(rows: list[Row]) -> list[str]:
    return [row.name.encode(errors="replace").decode()[:30] for row in rows]


@pytest.mark.parametrize("row", READ, ids=names(READ))
def test_what_is_in_the_file_is_read(row: Row, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (path,) = write_rows([row], tmp_path)
    image = ImageReader().read(path)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, tensor(row), rtol=0, atol=row.tolerance)
    assert (image - tensor(row)).abs().mean() < max(1e-6, row.tolerance / 8)
    assert ImageReader().size(path) == tuple(image.shape[1:])
    warnings = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [row.told in warning for warning in warnings] == [True] * bool(row.told)


@pytest.mark.parametrize("row", REFUSED, ids=names(REFUSED))
def test_what_would_be_misread_is_refused(row: Row, tmp_path: Path) -> None:
    (path,) = write_rows([row], tmp_path)
    with pytest.raises(UnreadableImageError) as caught:
        ImageReader().read(path)
    message = str(caught.value)
    assert message.startswith(f"Cannot read the image {path}: ")
    assert row.refusal in message
    assert "\n" not in message


@pytest.mark.parametrize("values", [picture(4096)[..., 0], picture(4096), picture(4096).astype(np.int32)[..., 0]])
def test_a_white_level(tmp_path: Path, values: Any) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb" if values.ndim == 3 else "minisblack")
    expected = torch.from_numpy(np.atleast_3d(values).astype(np.float32) / 4095).permute(2, 0, 1).expand(3, -1, -1)
    torch.testing.assert_close(ImageReader(white_level=4095).read(tmp_path / "a.tif"), expected)
    with pytest.raises(UnreadableImageError, match="must lie between 0 and 1000"):
        ImageReader(white_level=1000).read(tmp_path / "a.tif")


def test_a_white_level_is_none_of_eight_bits(tmp_path: Path) -> None:
    Image.fromarray(EIGHT).save(tmp_path / "a.png")
    expected = ImageReader().read(tmp_path / "a.png")
    torch.testing.assert_close(ImageReader(white_level=4095).read(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("level", [0, -1, float("nan"), float("inf"), "4095", True])
def test_a_white_level_that_is_none(level: Any) -> None:
    with pytest.raises(ValueError, match="white_level is the value of white, a positive number such as 4095; got"):
        ImageReader(level)


def test_dark_images_are_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for name in "ab":
        Image.fromarray(picture(1024)[..., 0]).save(tmp_path / f"{name}.png")
    reader = ImageReader()
    reader.read(tmp_path / "a.png")
    reader.read(tmp_path / "b.png")
    assert caplog.text.count("white_level") == 1
    assert "a.png" in caplog.text


def test_full_and_black_images_are_not_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Image.fromarray(SIXTEEN_GREY).save(tmp_path / "a.png")
    Image.fromarray(np.zeros_like(SIXTEEN_GREY)).save(tmp_path / "b.png")
    for name in "ab":
        ImageReader().read(tmp_path / f"{name}.png")
    assert not caplog.records


@pytest.mark.parametrize(
    ("image", "expected", "order"),
    [
        (EIGHT, EIGHT / 255, "rgb"),
        (EIGHT[..., ::-1], EIGHT / 255, "bgr"),
        (GREY, np.repeat(GREY[..., None], 3, 2) / 255, "rgb"),
        (GREY[..., None], np.repeat(GREY[..., None], 3, 2) / 255, "bgr"),
        (SIXTEEN, SIXTEEN / 65535, "rgb"),
        (SIXTEEN.astype(np.float32) / 65535, SIXTEEN / 65535, "rgb"),
        (SIXTEEN / 65535, SIXTEEN / 65535, "rgb"),
        (GREY > 128, np.repeat(GREY[..., None] > 128, 3, 2), "rgb"),
        (np.dstack([EIGHT, np.zeros_like(GREY)]), np.ones(EIGHT.shape), "rgb"),
        (Image.fromarray(EIGHT), EIGHT / 255, "rgb"),
        (Image.fromarray(EIGHT).convert("RGBA"), EIGHT / 255, "rgb"),
        (Image.fromarray(SIXTEEN_GREY), np.repeat(SIXTEEN_GREY[..., None], 3, 2) / 65535, "rgb"),
        (torch.from_numpy(EIGHT).permute(2, 0, 1), EIGHT / 255, "rgb"),
        (torch.from_numpy(EIGHT / 255).permute(2, 0, 1), EIGHT / 255, "rgb"),
    ],
)
def test_images_in_memory(image: Any, expected: Any, order: Any) -> None:
    found = ImageReader().convert(image, order)
    torch.testing.assert_close(found, torch.from_numpy(expected).permute(2, 0, 1).float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((4, 5, 7), np.uint8), r"uint8 of shape \(4, 5, 7\)"),
        (np.zeros((3, 4, 5), np.uint8), r"uint8 of shape \(3, 4, 5\)"),
        (np.zeros((0, 5, 3), np.uint8), r"shape \(0, 5, 3\)"),
        (np.full((4, 5), 300.0), "must lie between 0 and 1"),
        (np.full((4, 5), -1.0), "must lie between 0 and 1"),
        (np.full((4, 5), np.nan), "not finite"),
        (np.full((4, 5), 300), "nothing says which value is white"),
        (np.array([["a"]]), "of numbers"),
        (np.zeros((4, 5), complex), "of numbers"),
        (Image.fromarray(np.full((4, 5), 2.0, np.float32)), "must lie between 0 and 1"),
        (torch.zeros(2, 4, 5), r"a tensor must be \(3, H, W\)"),
        (torch.zeros(4, 5, 3), r"a tensor must be \(3, H, W\)"),
        (b"bytes", "expected a path, a Pillow image, an array or a tensor"),
        (None, "expected a path"),
    ],
)
def test_images_in_memory_that_do_not_fit(image: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=f"Cannot take the image .*{problem}"):
        ImageReader().convert(image)


def test_masks_are_upright_and_of_any_depth(tmp_path: Path) -> None:
    marked = np.zeros((6, 9), dtype=np.uint8)
    marked[1, 2:5] = 1
    kinds = {
        "label.png": Image.fromarray(marked),
        "white.png": Image.fromarray(marked * 255),
        "sixteen.png": Image.fromarray(marked.astype(np.uint16)),
        "float.tif": Image.fromarray(marked.astype(np.float32)),
        "colour.png": Image.fromarray(np.dstack([marked * 200, marked, marked])),
        "bits.png": Image.fromarray(marked > 0),
        "palette.png": Image.fromarray(marked * 255).convert("P"),
    }
    for name, image in kinds.items():
        image.save(tmp_path / name)
        assert ImageReader().read_mask(tmp_path / name).tolist() == marked.tolist(), name
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.rot90(marked * 255).copy()).save(tmp_path / "turned.png", exif=exif)
    assert ImageReader().read_mask(tmp_path / "turned.png").tolist() == marked.tolist()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO])
def test_what_the_machine_lacks_is_no_fault_of_the_image(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(EIGHT).save(tmp_path / "a.png")

    def fail(*_: Any) -> bytes:
        raise OSError(number, "")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(OSError, match=str(number)):
        ImageReader().read(tmp_path / "a.png")


def test_too_little_memory_is_no_fault_of_the_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(EIGHT).save(tmp_path / "a.png")

    def fail(*_: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("anomalib_adaptclip.files.image_reader.to_rgb", fail)
    with pytest.raises(MemoryError, match=r"not enough memory to read the image .*a\.png"):
        ImageReader().read(tmp_path / "a.png")


def test_a_damaged_exif_block_turns_nothing(tmp_path: Path) -> None:
    Image.fromarray(EIGHT).save(tmp_path / "a.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03")
    torch.testing.assert_close(
        ImageReader().read(tmp_path / "a.png"), torch.from_numpy(EIGHT / 255).permute(2, 0, 1).float()
    )


def test_readers_go_to_workers() -> None:
    assert pickle.loads(pickle.dumps(ImageReader(4095))).white_level == 4095  # noqa: S301  # as torch does
