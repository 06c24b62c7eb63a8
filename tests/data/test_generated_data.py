# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Few-shot on generated images, with the untrained `tiny`: what works offline out of the box."""

from pathlib import Path

import pytest
from anomalib.engine import Engine

from anomalib_adaptclip import AdaptCLIP, SyntheticDefects


@pytest.mark.parametrize("category", ["marble", "wood", "terrazzo", "capsule"])
def test_few_shot_finds_generated_defects(category: str, tmp_path: Path) -> None:
    data = SyntheticDefects(
        tmp_path / "data", category, num_train_images=8, num_normal_test_images=8, num_images_per_defect=4
    )
    model = AdaptCLIP(k_shot=4, backbone="tiny", visualizer=False)
    engine = Engine(default_root_dir=tmp_path, accelerator="cpu", devices=1)
    [metrics] = engine.train(model, datamodule=data)
    print(f"{category}: image AUROC {metrics['image_AUROC']:.3f}, pixel AUROC {metrics['pixel_AUROC']:.3f}")
    assert metrics["pixel_AUROC"] >= 0.9
