# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Small CLIPs, adapters and images that many tests share."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from rich.logging import RichHandler
from safetensors.torch import load_file

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.adapters.published_layout import to_published
from anomalib_adaptclip.clip import BACKBONES, load_clip

if "PYTEST_XDIST_WORKER" in os.environ:  # one core each, for the commands that tests start, too
    torch.set_num_threads(1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")

GOLDEN = Path(__file__).parent / "parity" / "golden"


@pytest.fixture(autouse=True)
def _no_handlers_stay() -> Iterator[None]:
    """Take away the handlers that anomalib's command adds to the root logger: later tests would print by them."""
    yield
    root = logging.getLogger()
    for handler in [*root.handlers]:
        if type(handler) in {logging.StreamHandler, RichHandler}:
            root.removeHandler(handler)


@pytest.fixture(scope="session")
def golden() -> dict[str, torch.Tensor]:
    """Tensors that must come out."""
    return load_file(GOLDEN / "golden.safetensors")


@pytest.fixture(scope="session")
def golden_config() -> dict[str, Any]:
    config: dict[str, Any] = json.loads((GOLDEN / "golden.json").read_text())["config"]
    return config


@pytest.fixture
def golden_clip(golden_config: dict[str, Any]) -> Any:
    """The small CLIP that the golden tensors were made with."""
    clip: Any = open_clip.CLIP(
        embed_dim=golden_config["embed_dim"],
        vision_cfg={
            "layers": golden_config["layers"],
            "width": golden_config["width"],
            "patch_size": golden_config["patch"],
            "image_size": golden_config["pretrain_size"],
        },
        text_cfg={"width": golden_config["text_width"], "layers": golden_config["text_layers"], "heads": 1},
        quick_gelu=True,
    )
    state = {key: tensor.to(clip.state_dict().get(key, tensor).dtype) for key, tensor in _clip_state().items()}
    embedding = torch.zeros_like(clip.state_dict()["token_embedding.weight"])
    embedding[state.pop("token_embedding.ids")] = state.pop("token_embedding.rows").to(embedding.dtype)
    clip.load_state_dict(state | {"token_embedding.weight": embedding})
    return clip


@pytest.fixture
def golden_model(golden_clip: Any, golden_config: dict[str, Any]) -> AdaptCLIPModel:
    """AdaptCLIP with the adapters that the golden tensors were made with."""
    first_vv_block = golden_config["layers"] - golden_config["dpam"] + 2  # the last `dpam - 1` blocks have V-V
    model = AdaptCLIPModel(
        golden_clip, golden_config["features"], first_vv_block, hidden_dim=golden_config["mid_dim"]
    ).eval()
    model.load_adapters(GOLDEN / "adapters_after_training.pth")
    return model


def _clip_state() -> dict[str, torch.Tensor]:
    return load_file(GOLDEN / "clip.safetensors")


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes random images into a folder and returns it."""

    def write(name: str, count: int, size: tuple[int, int] = (40, 48)) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        rng = np.random.default_rng(len(name))
        for index in range(count):
            Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / f"{index:03}.png")
        return folder

    return write


def save_published(model: AdaptCLIPModel, path: Path) -> Path:
    """Save a model's adapters in the published layout, its derived buffers included."""
    sections: dict[str, dict[str, torch.Tensor]] = {"textual_learner": {}, "visual_learner": {}, "pq_learner": {}}
    for key, tensor in to_published(model.adapters.state_dict()).items():
        section, name = key.split(".", 1)
        sections[section][name] = tensor.clone()
    sections["textual_learner"]["tokenized_prompts_pos"] = torch.zeros(1, 1, 77, dtype=torch.int64)
    torch.save(sections, path)
    return path


@pytest.fixture
def published_of_tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let tiny with the weights ``seed-0`` have published adapters, random here, and list which were downloaded."""
    downloads: list[str] = []
    monkeypatch.setitem(BACKBONES, "tiny", replace(BACKBONES["tiny"], adapters=("mvtec", "visa")))
    monkeypatch.setattr("anomalib_adaptclip.clip.loading.TINY_WEIGHTS", "seed-0")  # to which adapters belong

    def download(repo_id: str, filename: str, revision: str | None) -> str:
        del repo_id, revision
        name = "visa" if "visa" in filename else "mvtec"
        downloads.append(name)
        torch.manual_seed(len(name))
        model = AdaptCLIPModel(load_clip("tiny", "seed-0")[0], (2, 4, 6, 8), 3)
        return str(save_published(model, tmp_path / f"{name}.pth"))

    monkeypatch.setattr("anomalib_adaptclip.adapters.published_download.hf_hub_download", download)
    return downloads


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real images in MVTec layout."""
    folder = os.environ.get("ANOMALIB_ADAPTCLIP_DATA")
    if not folder:
        pytest.skip("ANOMALIB_ADAPTCLIP_DATA names no folder of real images")
    return Path(folder)
