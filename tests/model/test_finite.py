# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What is not finite does not get out as a score, whoever asks, nor in as a prompt."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from anomalib.data import PredictDataset
from anomalib.engine import Engine

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, AdaptCLIPPredictor
from anomalib_adaptclip.model.finite import finite_output
from anomalib_adaptclip.model.fusion import Prediction

SIZE = 56


def tiny(**options: Any) -> AdaptCLIP:
    return AdaptCLIP(backbone="tiny", pretrained="seed-0", image_size=SIZE, visualizer=False, **options).eval()


@pytest.fixture
def spoilt() -> AdaptCLIP:
    """A model that has a weight of CLIP that is infinite, as half precision makes of large numbers."""
    model = tiny()
    with torch.no_grad():
        model.model.clip.visual.proj[0, 0] = torch.inf
    return model


MESSAGE = r"Scores or maps of the images \[0, 1\] of the batch are NaN or infinite\. Look for such values"


@pytest.mark.parametrize("place", ["score", "map"])
def test_rows_are_told(place: str) -> None:
    prediction = Prediction(torch.zeros(3), torch.zeros(3, 1, 2, 2))
    prediction[place == "map"][1] = torch.nan
    with pytest.raises(ValueError, match=r"images \[1\] of the batch are NaN"):
        finite_output(prediction)


def test_an_empty_batch_is_finite() -> None:
    assert torch.as_tensor(finite_output(Prediction(torch.zeros(0), torch.zeros(0, 1, 2, 2))).pred_score).shape == (0,)


@pytest.mark.parametrize("fusion", ["published", "paper", "log_odds"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_images_that_are_not_finite(golden_clip: Any, fusion: Any, value: float) -> None:
    model = AdaptCLIPModel(golden_clip, (1, 3, 4, 6), 3, fusion=fusion).eval()
    images = torch.rand(2, 3, SIZE, SIZE)
    images[1, 0, 3, 3] = value
    with pytest.raises(ValueError, match=r"images \[1\] of the batch are NaN"):
        model(images)
    with pytest.raises(ValueError, match=r"Tokens of the prompt images \[1\] of the batch are NaN"):
        model.set_prompts(images)
    assert model.prompt_memory.k_shot == 0


def test_forward_and_predictor(spoilt: AdaptCLIP) -> None:
    for function in (spoilt, AdaptCLIPPredictor(spoilt)):
        with pytest.raises(ValueError, match=MESSAGE):
            function(torch.rand(2, 3, SIZE, SIZE))


def test_engine(spoilt: AdaptCLIP, write_images: Callable[..., Path], tmp_path: Path) -> None:
    engine = Engine(default_root_dir=tmp_path / "results", accelerator="cpu", devices=1)
    with pytest.raises(ValueError, match=r"images \[0\] of the batch are NaN or infinite"):
        engine.predict(spoilt, dataset=PredictDataset(write_images("queries", 1)))


def test_exported_to_torch(spoilt: AdaptCLIP, tmp_path: Path) -> None:
    exported = torch.load(spoilt.to_torch(tmp_path), weights_only=False)["model"]
    with pytest.raises(ValueError, match=MESSAGE):
        exported(torch.rand(2, 3, SIZE, SIZE))


@pytest.mark.parametrize("topk", [0, -3])
def test_topk_of_the_model(topk: int) -> None:
    with pytest.raises(ValueError, match=f"topk must be at least 1; got {topk}"):
        tiny(topk=topk)
