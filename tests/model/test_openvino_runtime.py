# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The predictor by OpenVINO gives what PyTorch gives, for any number of images."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision.utils import save_image

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PromptBank


def tiny(**options: Any) -> AdaptCLIP:
    return AdaptCLIP(backbone="tiny", image_size=56, visualizer=False, **options)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> AdaptCLIP:
    """Few-shot, calibrated, and with a region of interest, which the graph has to hold."""
    folder = tmp_path_factory.mktemp("good")
    for number in range(3):
        save_image(torch.rand(3, 98, 98, generator=torch.Generator().manual_seed(number)), folder / f"{number}.png")
    return tiny(k_shot=3, few_shot_source=folder, calibration="normal", roi=[0.1, 0.1, 0.8, 0.9])


def test_it_gives_what_torch_gives(
    model: AdaptCLIP, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # OpenVINO leaves a cache
    predictors = [AdaptCLIPPredictor(model), AdaptCLIPPredictor(model, runtime="openvino")]
    assert "torch" not in "".join(capfd.readouterr())  # what torch's exporter tells
    for count in (1, 3):
        images = torch.rand(count, 3, 98, 98, generator=torch.Generator().manual_seed(count))
        expected, found = (predictor(images) for predictor in predictors)
        torch.testing.assert_close(found.pred_score, expected.pred_score, rtol=0, atol=1e-4)
        torch.testing.assert_close(found.anomaly_map, expected.anomaly_map, rtol=0, atol=1e-4)
        assert torch.equal(torch.as_tensor(found.pred_label), torch.as_tensor(expected.pred_label))
    with pytest.raises(ValueError, match=r"compiled for images of \(56, 56\) pixels; got \(84, 56\)"):
        predictors[1].predict(torch.rand(1, 3, 84, 56), None)  # as without a pre-processor
    assert predictors[1].explain(torch.rand(1, 3, 98, 98))[0].regions


@pytest.mark.parametrize(
    ("options", "runtime", "message"),
    [
        ({}, "tensorrt", "runtime must be one of"),
        ({"tiles": 40}, "openvino", "a fixed number of tiles; got tiles=40 pixels"),
    ],
)
def test_what_it_cannot_run_is_refused(options: dict[str, Any], runtime: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AdaptCLIPPredictor(tiny(**options), runtime=runtime)


def test_a_bank_is_refused(tmp_path: Path) -> None:
    bank = PromptBank(tiny().model, "tiny")
    bank.add("part", torch.rand(1, 3, 56, 56))
    bank.save(tmp_path / "bank.safetensors")
    with pytest.raises(ValueError, match="runs one category, and the model has a prompt bank"):
        AdaptCLIPPredictor(tiny(prompt_bank=tmp_path / "bank.safetensors"), runtime="openvino")
