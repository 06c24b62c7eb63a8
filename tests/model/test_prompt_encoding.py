# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Prompt images are read once and encoded once, whatever takes their tokens."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from anomalib_adaptclip import AdaptCLIP
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.model.prompt_encoding import first_equal, read_prompts


def tiny(**options: Any) -> AdaptCLIP:
    return AdaptCLIP(**{"backbone": "tiny", "pretrained": "seed-0", "image_size": 56, **options}).eval()


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file was read as a prompt, by name."""
    counts: Counter[str] = Counter()

    read = ImageReader.read

    def count(self: ImageReader, path: str) -> torch.Tensor:
        counts[Path(path).name] += 1
        return read(self, path)

    monkeypatch.setattr(ImageReader, "read", count)
    return counts


@pytest.mark.parametrize(("calibration", "encoded"), [("labels", 3), ("normal", 3 + 3 * 2)])
def test_each_image_is_read_and_encoded_once(
    write_images: Callable[..., Path],
    reads: Counter[str],
    monkeypatch: pytest.MonkeyPatch,
    calibration: str,
    encoded: int,
) -> None:
    """A calibration encodes the two changed variants of each image besides, and not the image itself."""
    model = tiny(k_shot=3, few_shot_source=write_images("good", 3), calibration=calibration)
    batches: list[int] = []
    encode = model.model.encode

    def count(images: torch.Tensor, layers: Any) -> Any:
        batches.append(len(images))
        return encode(images, layers)

    monkeypatch.setattr(model.model, "encode", count)
    for _ in range(2):
        model.prepare()
    assert reads == {"000.png": 1, "001.png": 1, "002.png": 1}
    assert sum(batches) == encoded
    assert model.model.prompt_memory.k_shot == 3


def test_a_draw_that_repeats_an_image_reads_it_once(write_images: Callable[..., Path], reads: Counter[str]) -> None:
    model, folder = tiny(), write_images("good", 2)
    first, second = (str(folder / name) for name in ("000.png", "001.png"))
    images = read_prompts([second, first, second], model.image_input, with_variants=False)
    assert reads == {"000.png": 1, "001.png": 1}
    assert (images.rows, images.inputs.shape) == ([0, 1, 0], (2, 1, 3, 56, 56))


def test_a_copy_under_another_name_is_the_same_image(write_images: Callable[..., Path]) -> None:
    folder = write_images("good", 2)
    copied = shutil.copy(folder / "000.png", folder / "copy.png")
    files = [str(folder / "000.png"), str(folder / "001.png"), str(copied)]
    images = read_prompts(files, tiny().image_input, with_variants=True)
    assert (images.rows, images.inputs.shape) == ([0, 1, 0], (2, 3, 3, 56, 56))


def test_images_of_another_pre_processing_are_read_again(
    write_images: Callable[..., Path], reads: Counter[str]
) -> None:
    """A checkpoint may bring another pre-processor than that which the constructor read the images with."""
    model = tiny(k_shot=1, few_shot_source=write_images("good", 1))
    model.pre_processor = AdaptCLIP.configure_pre_processor((70, 70))
    model.prepare()
    assert reads == {"000.png": 2}
    assert model.model.prompt_memory.tokens.shape[2] == 25  # 5 x 5 patches


def test_first_equal() -> None:
    images = torch.tensor([1.0, 2.0, 1.0, 3.0, 2.0]).view(5, 1)
    assert first_equal(images) == [0, 1, 0, 3, 1]
