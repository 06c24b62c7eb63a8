# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""ViT-L/14 in full size, once, with random weights out of files as they are published."""

from pathlib import Path

import open_clip
import pytest
import torch
from anomalib.engine import Engine

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, SyntheticDefects
from anomalib_adaptclip.clip import get_backbone
from tests.conftest import save_published

NAME = "ViT-L-14-336"


def test_from_files_to_a_small_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    clip = open_clip.create_model(NAME, force_quick_gelu=True)
    torch.save(clip.half().state_dict(), tmp_path / "clip.pt")
    backbone = get_backbone(NAME)
    adapters = save_published(AdaptCLIPModel(clip, backbone.layers, backbone.first_vv_block), tmp_path / "epoch_15.pth")
    del clip
    monkeypatch.setattr(
        "anomalib_adaptclip.adapters.published_download.hf_hub_download", lambda *_, **__: str(adapters)
    )

    model = AdaptCLIP(k_shot=1, pretrained=tmp_path / "clip.pt", visualizer=False, evaluator=False)
    data = SyntheticDefects(
        tmp_path, "marble", num_train_images=1, num_normal_test_images=1, num_images_per_defect=1, eval_batch_size=1
    )
    engine = Engine(default_root_dir=tmp_path, accelerator="cpu", devices=1, limit_val_batches=1)
    engine.validate(model, datamodule=data)

    assert model.adapter_slot.origin.source == "mvtec"
    assert model.model.prompt_memory.tokens.shape == (4, 1, 37 * 37, 768)
    assert type(model.model.clip.visual.transformer.resblocks[0].mlp.gelu).__name__ == "QuickGELU"
    [checkpoint] = tmp_path.rglob("*.ckpt")
    print(f"checkpoint: {checkpoint.stat().st_size / 1e6:.1f} MB")
    assert checkpoint.stat().st_size < 30e6
