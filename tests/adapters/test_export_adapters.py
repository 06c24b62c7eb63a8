# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Export of adapters trained here to the layout of the published files."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.adapters.adapter_file import read_adapter_file, write_adapter_file
from anomalib_adaptclip.adapters.adapter_header import AdapterHeader
from anomalib_adaptclip.clip import Backbone, LoadedClip, fingerprint, load_clip
from anomalib_adaptclip_cli.main import main
from tests.conftest import GOLDEN

TRAINED = GOLDEN / "adapters_after_training.pth"


@pytest.fixture(autouse=True)
def load_golden(golden_clip: Any, golden_config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """The backbone "golden" beside the usual ones."""
    first_vv_block = golden_config["layers"] - golden_config["dpam"] + 2
    golden = LoadedClip(
        golden_clip, Backbone("golden", tuple(golden_config["features"]), first_vv_block, 84, 14), "golden"
    )
    monkeypatch.setattr(
        "anomalib_adaptclip.clip.load_clip",
        lambda name, pretrained=None: golden if name == "golden" else load_clip(name, pretrained),
    )


def header(clip: Any, **options: Any) -> AdapterHeader:
    told: dict[str, Any] = {"context": True, "topk": 10, "mode": "alternating"} | options
    return AdapterHeader("golden", "golden", fingerprint(clip), base="MVTecAD", **told)


@pytest.fixture
def ours(golden_model: AdaptCLIPModel, tmp_path: Path) -> Path:
    """The golden adapters as training writes them."""
    path = tmp_path / "adapters.safetensors"
    write_adapter_file(path, golden_model.adapters, header(golden_model.clip))
    return path


def export(*arguments: object) -> int:
    return main(["export-adapters", *map(str, arguments)])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says as it ends."""
    with pytest.raises(SystemExit) as ended:
        export(*arguments)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_every_tensor_of_the_published_file_comes_out(ours: Path, tmp_path: Path) -> None:
    """The buffers that CLIP determines as well."""
    assert export(ours, tmp_path / "epoch_15.pth") == 0
    found, expected = (torch.load(path, weights_only=True) for path in (tmp_path / "epoch_15.pth", TRAINED))
    assert {name: set(section) for name, section in found.items()} == {n: set(s) for n, s in expected.items()}
    for name, section in expected.items():
        for key, tensor in section.items():
            torch.testing.assert_close(found[name][key], tensor, rtol=0, atol=0)


def test_there_and_back_is_exact(ours: Path, tmp_path: Path, golden_model: AdaptCLIPModel) -> None:
    export(ours, tmp_path / "epoch_15.pth")
    model = AdaptCLIPModel(golden_model.clip, golden_model.layers, golden_model.first_vv_block, hidden_dim=32)
    model.load_adapters(tmp_path / "epoch_15.pth")
    write_adapter_file(tmp_path / "back.safetensors", model.adapters, AdapterHeader())
    first, back = read_adapter_file(ours).state, read_adapter_file(tmp_path / "back.safetensors").state
    torch.testing.assert_close(back, first, rtol=0, atol=0)


def test_adapters_for_a_backbone_by_name(tmp_path: Path) -> None:
    clip, backbone, weights = load_clip("tiny")
    model = AdaptCLIPModel(clip, backbone.layers, backbone.first_vv_block, prompt_length=5, reduction=2, hidden_dim=16)
    told = AdapterHeader("tiny", weights, fingerprint(clip))
    write_adapter_file(tmp_path / "ours.safetensors", model.adapters, told)
    export(tmp_path / "ours.safetensors", tmp_path / "theirs.pth")
    sections = torch.load(tmp_path / "theirs.pth", weights_only=True)
    embedding = model.text_tower.token_embedding.weight
    prefix, suffix = (sections["textual_learner"][f"token_{end}_pos"] for end in ("prefix", "suffix"))
    torch.testing.assert_close(prefix[0, 0], embedding[[49406]].detach())  # start of text
    torch.testing.assert_close(suffix[0, 0, :2], embedding[[269, 49407]].detach())  # full stop, end of text
    assert suffix.shape[2] == 77 - 1 - 5
    file = read_adapter_file(tmp_path / "theirs.pth")
    torch.testing.assert_close(file.renamed(), dict(model.adapters.state_dict()), rtol=0, atol=0)


def test_a_local_file_of_the_weights(tmp_path: Path) -> None:
    """As where the adapters were trained with one: the header has its name alone."""
    clip, backbone, _ = load_clip("tiny")
    torch.save(clip.state_dict(), tmp_path / "clip.pt")
    model = AdaptCLIPModel(clip, backbone.layers, backbone.first_vv_block)
    told = AdapterHeader("tiny", "clip.pt", fingerprint(load_clip("tiny", tmp_path / "clip.pt").clip))
    write_adapter_file(tmp_path / "ours.safetensors", model.adapters, told)
    assert export(tmp_path / "ours.safetensors", tmp_path / "out.pth", "--pretrained", tmp_path / "clip.pt") == 0


def test_the_weights_of_another_clip(ours: Path, tmp_path: Path, golden_clip: Any, capsys: Any) -> None:
    with torch.no_grad():
        golden_clip.visual.proj.add_(1)
    assert "this is another CLIP" in refused(capsys, ours, tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()


@pytest.mark.parametrize("name", ["visual", "textual", "prompt_query"])
def test_a_missing_adapter(golden_model: AdaptCLIPModel, tmp_path: Path, name: str, capsys: Any) -> None:
    kept = nn.ModuleDict({key: adapter for key, adapter in golden_model.adapters.items() if key != name})
    write_adapter_file(tmp_path / "two.safetensors", kept, header(golden_model.clip))
    assert f"lacks ['{name}']. Train all three" in refused(capsys, tmp_path / "two.safetensors", tmp_path / "out.pth")


@pytest.mark.parametrize("options", [{"mode": "joint"}, {"context": False}])
def test_what_the_layout_cannot_say_and_matters(
    golden_model: AdaptCLIPModel, tmp_path: Path, options: dict[str, Any], capsys: Any
) -> None:
    write_adapter_file(tmp_path / "ours.safetensors", golden_model.adapters, header(golden_model.clip, **options))
    told = refused(capsys, tmp_path / "ours.safetensors", tmp_path / "out.pth")
    [(key, value)] = options.items()
    assert f"{key}={value!r}" in told
    assert "would be misread" in told
    assert not (tmp_path / "out.pth").exists()


def test_another_topk_is_warned_of(
    golden_model: AdaptCLIPModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_adapter_file(tmp_path / "ours.safetensors", golden_model.adapters, header(golden_model.clip, topk=1))
    export(tmp_path / "ours.safetensors", tmp_path / "out.pth")
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "The layout cannot express topk=1: readers will use 10."
    ]


def test_wrong_files(ours: Path, tmp_path: Path, capsys: Any) -> None:
    assert "header names no backbone" in refused(capsys, TRAINED, tmp_path / "out.pth")
    assert "such as epoch_15.pth" in refused(capsys, ours, tmp_path / "out.safetensors")
    assert "There is no adapter file" in refused(capsys, tmp_path / "nowhere.safetensors", tmp_path / "out.pth")
