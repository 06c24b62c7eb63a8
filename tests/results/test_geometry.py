# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From the map back to the file: squares at known places come back to where they were painted."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anomalib.data import Folder, InferenceBatch
from anomalib.engine import Engine
from anomalib.pre_processing import PreProcessor
from PIL import Image
from torch import nn
from torchvision.transforms.v2 import (
    CenterCrop,
    Compose,
    Normalize,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    Resize,
    Transform,
)

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PredictFolder
from anomalib_adaptclip.clip import CLIP_MEAN, CLIP_STD
from anomalib_adaptclip.results.geometry import Box, FileGeometry
from anomalib_adaptclip.results.prediction_row import prediction_rows
from tests.files.image_rows import exif, stored

HEIGHT, WIDTH = 300, 400
NORMALIZE = Normalize(CLIP_MEAN, CLIP_STD)
WAYS: dict[str, list[Transform]] = {
    "square": [Resize((56, 56))],
    "rectangular": [Resize((56, 84))],
    "shorter side": [Resize(60), CenterCrop((56, 70))],
    "crop": [Resize((84, 84)), CenterCrop((56, 56))],
    "crop across": [Resize((56, 112)), CenterCrop((56, 84))],
    "pad": [Resize((42, 56)), Pad((0, 7, 0, 7))],
    "pad unevenly": [Resize((42, 56)), Pad((14, 0, 0, 14))],
    "letterbox": [Pad((0, 50, 0, 50)), Resize((56, 56))],
    "crop of the file": [CenterCrop((280, 280)), Resize((56, 56))],
    "larger crop than image": [Resize((42, 42)), CenterCrop((56, 56))],
}
SQUARES: list[Box] = [(180, 130, 220, 170), (150, 100, 180, 120), (240, 190, 260, 220)]


def painted(boxes: list[Box]) -> torch.Tensor:
    """Black file with white squares, ``(3, H, W)``."""
    image = torch.zeros(3, HEIGHT, WIDTH)
    for left, top, right, bottom in boxes:
        image[:, top:bottom, left:right] = 1
    return image


def are_close(found: list[Any], expected: list[Box], pixels: int) -> bool:
    found, expected = sorted(map(tuple, found)), sorted(expected)
    return len(found) == len(expected) and bool(np.abs(np.subtract(found, expected)).max() <= pixels)


@pytest.mark.parametrize("way", WAYS)
def test_squares_come_back(way: str) -> None:
    transform = Compose([*WAYS[way], NORMALIZE])
    seen = (transform(painted(SQUARES)[None])[0, 0] * CLIP_STD[0] + CLIP_MEAN[0]) > 0.5
    geometry = FileGeometry([transform]).of((HEIGHT, WIDTH), (seen.shape[0], seen.shape[1]))
    batch = InferenceBatch(pred_score=torch.ones(1), pred_mask=seen[None])
    (row,) = prediction_rows(["nowhere"], batch, FileGeometry([transform]))
    assert row.boxes  # in the map's pixels, for want of a file
    whole = geometry.to_file(seen.float())
    assert whole.shape == (HEIGHT, WIDTH)
    overlap = (whole > 0.5) & (painted(SQUARES)[0] > 0.5)
    assert overlap.sum() / ((whole > 0.5) | (painted(SQUARES)[0] > 0.5)).sum() > 0.75


def test_pixels_beside_a_crop_have_the_value_of_outside() -> None:
    geometry = FileGeometry([CenterCrop((100, 100))]).of((HEIGHT, WIDTH), (100, 100))
    whole = geometry.to_file(torch.ones(100, 100), outside=-1)
    assert (whole == 1).sum() == 100 * 100
    assert (whole[100:200, 150:250] == 1).all()
    assert geometry.box_to_file(0, 0, 100, 100) == (150, 100, 250, 200)


def test_boxes_in_the_padding_are_none() -> None:
    geometry = FileGeometry([Pad((10, 0, 0, 0))]).of((20, 20), (20, 30))
    assert geometry.box_to_file(0, 0, 10, 5) is None
    assert geometry.box_to_file(5, 0, 15, 5) == (0, 0, 5, 5)


@pytest.mark.parametrize("size", [(17, 23), (97, 101), (240, 320), (518, 518), (3000, 4000)])
def test_whole_images_have_exact_boxes(size: tuple[int, int]) -> None:
    geometry = FileGeometry([Resize((518, 518))]).of(size, (518, 518))
    assert geometry.box_to_file(0, 0, 518, 518) == (0, 0, size[1], size[0])


@pytest.mark.parametrize(
    "transform",
    [
        RandomHorizontalFlip(1),
        RandomRotation((90, 90), expand=True),
        RandomRotation((5, 5)),
        RandomCrop(100),
        Compose([Resize((56, 56)), RandomHorizontalFlip(1)]),
    ],
)
def test_what_turns_or_mirrors_or_is_random_is_refused(transform: Transform) -> None:
    with pytest.raises(ValueError, match=r"cannot be brought back to the image file through .* resize, crop or pad"):
        FileGeometry([transform]).of((HEIGHT, WIDTH), (56, 56))


# Whole runs


class Brightness(nn.Module):
    """A detector of bright pixels, in place of the model: its maps show what the image shows."""

    def forward(self, images: torch.Tensor) -> InferenceBatch:
        shown = images[:, :1] * CLIP_STD[0] + CLIP_MEAN[0]
        return InferenceBatch(pred_score=shown.amax(dim=(1, 2, 3)).clamp(0, 1), anomaly_map=shown.clamp(0, 1))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Squares upright, and the same stored turned."""
    pixels = (painted(SQUARES).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
    (tmp_path / "images").mkdir()
    Image.fromarray(pixels).save(tmp_path / "images" / "upright.png")
    Image.fromarray(stored(pixels, 6)).save(tmp_path / "images" / "turned.png", exif=exif(6))
    Image.fromarray(stored(pixels, 5)).save(tmp_path / "images" / "mirrored.tif", exif=exif(5))
    return tmp_path / "images"


def detector(way: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> AdaptCLIP:
    pre_processor = PreProcessor(transform=Compose([*WAYS[way], NORMALIZE]))
    model = AdaptCLIP(backbone="tiny", visualizer=False, evaluator=False, pre_processor=pre_processor, **options)
    monkeypatch.setattr(type(model), "detect", lambda _, images, *__: Brightness()(images))
    return model


@pytest.mark.parametrize("way", [way for way in WAYS if way not in {"letterbox", "crop of the file"}])
@pytest.mark.parametrize("route", ["folder", "module", "data_path", "stream"])
def test_boxes_of_whole_runs(
    way: str, route: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = detector(way, monkeypatch, results=None if route == "stream" else tmp_path / "a.csv")
    if route == "stream":
        predictor = AdaptCLIPPredictor(model)
        batches = predictor.stream(sorted(images.iterdir()), batch_size=1)
        boxes = [row.boxes for paths, out in batches for row in prediction_rows(paths, out, predictor.geometry)]
    else:
        ways: dict[str, dict[str, Any]] = {
            "folder": {"datamodule": PredictFolder(images, batch_size=1)},
            "module": {"datamodule": Folder("a", images, abnormal_dir=images, val_split_mode="none", num_workers=0)},
            "data_path": {"data_path": images},
        }
        Engine(default_root_dir=tmp_path, accelerator="cpu", devices=1, logger=False).predict(
            model=model, **ways[route]
        )
        with (tmp_path / "a.csv").open(newline="") as file:
            boxes = [json.loads(row["boxes"]) for row in csv.DictReader(file)]
    assert len(boxes) >= 3
    assert all(are_close(found, SQUARES, pixels=8) for found in boxes)


@pytest.mark.parametrize("way", ["letterbox", "crop of the file"])
def test_a_pre_processor_must_resize_first(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """anomalib's data modules resize before all else, and its other routes do not."""
    with pytest.raises(ValueError, match="must begin with Resize"):
        detector(way, monkeypatch)


def test_a_random_way_is_refused_before_the_first_row(images: Path, tmp_path: Path) -> None:
    mirrored = RandomHorizontalFlip(1)
    model = AdaptCLIP(backbone="tiny", visualizer=False, evaluator=False, image_size=56, results=tmp_path / "a.csv")
    module = Folder("a", images, abnormal_dir=images, normal_test_dir=images, augmentations=mirrored, num_workers=0)
    with pytest.raises(ValueError, match=r"cannot be brought back"):
        Engine(default_root_dir=tmp_path, accelerator="cpu", devices=1, logger=False).predict(
            model=model, datamodule=module
        )
