# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The small backbone that the package ships, with its adapters: what it is, and what it reaches."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from anomalib.data import AnomalibDataModule, MVTecAD
from anomalib.engine import Engine
from anomalib.metrics import AUROC, Evaluator
from safetensors import safe_open
from safetensors.torch import load_file

from anomalib_adaptclip import AdaptCLIP, SyntheticDefects
from anomalib_adaptclip.clip import TINY_FOLDER, load_clip
from anomalib_adaptclip.clip.backbones import BACKBONES
from anomalib_adaptclip.clip.tiny import build_tiny
from anomalib_adaptclip.data.rendering import CATEGORIES

HELD_OUT = ("wood", "marble", "weave", "capsule", "hex_nut", "coin")


def figures(datamodule: AnomalibDataModule, shots: int, folder: Path, seed: int = 10) -> tuple[float, float]:
    """Image and pixel AUROC on raw scores, by anomalib's metrics; nothing else is computed, for the sake of time."""
    image = AUROC(fields=["pred_score", "gt_label"], prefix="image_")
    evaluator = Evaluator(test_metrics=[image, AUROC(fields=["anomaly_map", "gt_mask"], prefix="pixel_")])
    model = AdaptCLIP(
        k_shot=shots, backbone="tiny", seed=seed, post_processor=False, evaluator=evaluator, visualizer=False
    )
    engine = Engine(default_root_dir=folder, accelerator="cpu", devices=1, logger=False, limit_val_batches=0)
    [found] = engine.test(model, datamodule=datamodule, verbose=False)
    return float(found["image_AUROC"]), float(found["pixel_AUROC"])


class TestFiles:
    def test_size(self) -> None:
        assert sum(path.stat().st_size for path in TINY_FOLDER.iterdir()) <= 12e6

    def test_the_card_tells_the_files(self) -> None:
        card = (TINY_FOLDER / "MODEL_CARD.md").read_text()
        assert all(path.name in card for path in TINY_FOLDER.glob("*.safetensors"))

    def test_what_the_adapters_were_trained_on(self) -> None:
        with safe_open(TINY_FOLDER / "adapters.safetensors", "pt") as file:
            header = file.metadata()
        assert (header["backbone"], header["weights"], header["base"]) == ("tiny", "generated", "SyntheticDefects")
        assert {*json.loads(header["base_categories"])} == {*CATEGORIES} - {*HELD_OUT}

    def test_the_weights_are_not_those_of_the_seed(self) -> None:
        seed, trained = build_tiny().state_dict(), load_clip("tiny").clip.state_dict()
        same = {name for name, tensor in trained.items() if torch.equal(tensor, seed[name])}
        assert same <= {"attn_mask"}


class TestAutomaticAdapters:
    def test_they_belong_to_the_shipped_weights(self) -> None:
        model = AdaptCLIP(backbone="tiny")
        assert (model.adapter_slot.origin.source, set(model.model.adapters)) == (
            "generated",
            {"visual", "textual", "prompt_query"},
        )

    def test_they_are_there_from_the_start(self) -> None:
        shipped = load_file(TINY_FOLDER / "adapters.safetensors")
        state = AdaptCLIP(backbone="tiny").model.adapters.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in shipped.items())

    def test_random_ones_that_wait_for_data_do_not_judge(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """As with ViT-L/14, whose adapters depend on the data under test."""
        monkeypatch.setitem(BACKBONES, "tiny", replace(BACKBONES["tiny"], adapters=("mvtec", "visa")))
        model = AdaptCLIP(backbone="tiny")
        images = torch.zeros(1, 3, 224, 224)
        for predict in (model.model, model.model.detect, model.model.maps_by_adapter, model.model.explain):
            with pytest.raises(ValueError, match="The adapters are not loaded yet: adapters='auto' waits"):
                predict(images)
        model.model.load_adapters(TINY_FOLDER / "adapters.safetensors")
        assert model.model(images).anomaly_map.shape == (1, 1, 224, 224)

    def test_others_have_none(self, caplog: pytest.LogCaptureFixture) -> None:
        model = AdaptCLIP(backbone="tiny", pretrained="seed-0")
        model.prepare()
        assert (model.adapter_slot.origin.source, len(model.model.adapters)) == ("none", 0)
        assert "There are no trained adapters" in caplog.text

    def test_naming_them_for_other_weights_is_refused(self) -> None:
        with pytest.raises(ValueError, match="adapters 'generated' belong to tiny with its usual weights"):
            AdaptCLIP(backbone="tiny", pretrained="seed-0", adapters="generated")

    @pytest.mark.parametrize(("category", "warned"), [("gear", True), ("wood", False)])
    def test_leakage_is_told_by_category(
        self, category: str, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.WARNING)
        data = SyntheticDefects(
            tmp_path, category, image_size=64, num_train_images=1, num_normal_test_images=1, num_images_per_defect=1
        )
        figures(data, 0, tmp_path)
        assert ("LEAKAGE" in caplog.text) == warned


def test_generated_categories_that_it_was_not_trained_on(tmp_path: Path) -> None:
    """Means over all of them, on the test images of the quick start."""
    found = {
        shots: [
            figures(SyntheticDefects(tmp_path / "data", category, num_train_images=4), shots, tmp_path)
            for category in HELD_OUT
        ]
        for shots in (0, 1)
    }
    means = {shots: torch.tensor(rows).mean(dim=0).tolist() for shots, rows in found.items()}
    print(means)
    assert means[0][0] >= 0.80
    assert means[1][0] >= 0.93
    assert means[1][1] >= 0.95


def test_photographs(real_data: Path, tmp_path: Path) -> None:
    """Four-shot, means of the paper's three draws; the untrained network reaches 0.66."""
    categories = ("hazelnut", "cookie", "magnetic_tile")
    found = {
        name: [figures(MVTecAD(real_data, name, num_workers=0), 4, tmp_path, seed)[0] for seed in (10, 20, 30)]
        for name in categories
    }
    print(found)
    assert found["hazelnut"] == [1.0] * 3
    assert torch.tensor([*found.values()]).mean() >= 0.86
