# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The configurations of training, as they stand, on a few small images in the layouts that they expect."""

import shutil
from pathlib import Path

import pytest
from anomalib.cli.cli import AnomalibCLI

from anomalib_adaptclip import AdaptCLIPTraining, SyntheticDefects

from .command import BASE, REPOSITORY

CONFIGS = REPOSITORY / "configs" / "training"
QUICK = ["--model.init_args.image_size", "56", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
QUICK += ["--data.init_args.num_workers", "0", "--trainer.devices", "1", "--trainer.logger", "false"]
LAYOUTS = {
    "mvtec": {"MVTecAD/bottle": "gear", "visa/visa_pytorch/candle": "wood"},
    "tiny": {"photographs/magnetic_tile": "gear", "photographs/cookie": "carpet", "photographs/hazelnut": "wood"},
}
OVERRIDES = {"mvtec": ["--model.init_args.backbone", "tiny"], "tiny": []}


def test_each_has_a_layout() -> None:
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == {*LAYOUTS}


@pytest.mark.parametrize("name", LAYOUTS)
def test_it_trains(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for place, category in LAYOUTS[name].items():
        SyntheticDefects("drawn", category, **BASE).prepare_data()
        shutil.copytree(f"drawn/{category}", f"datasets/{place}")
    done = AnomalibCLI(["fit", "--config", str(CONFIGS / f"{name}.yaml"), *QUICK, *OVERRIDES[name]])
    assert isinstance(done.model, AdaptCLIPTraining)
    assert (done.model.learning_rate, done.model.betas, done.model.epochs) == (1e-3, (0.5, 0.999), 15)
    assert len(list(tmp_path.rglob("adapters.safetensors"))) == 1
    assert "val_one_shot_image_AUROC" in done.engine.trainer.callback_metrics
