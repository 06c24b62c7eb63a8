# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Backbones: how they are read, and where their weights come from."""

import hashlib
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from anomalib_adaptclip.clip import BACKBONES, TINY_FOLDER, fingerprint, get_backbone, load_clip
from anomalib_adaptclip.clip.positions import resize_positions
from anomalib_adaptclip.files.tensors import read_safetensors_header

NAME = "ViT-B-16-plus-240"
MARKERS = ("input_resolution", "context_length", "vocab_size")
TRAINED_WORD = 49406  # the start of a text
SMALL = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 28, "layers": 4, "width": 64, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give open_clip's real configurations a small size: names, tags and loaders stay what they are."""
    for name in ("ViT-L-14-336", NAME, "ViT-B-16"):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, SMALL)
    quick = dict(SMALL, quick_gelu=True)
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "ViT-B-16-quickgelu", quick)


def activation(clip: Any) -> str:
    return (
        type(clip.visual.transformer.resblocks[0].mlp.gelu).__name__
        + type(clip.transformer.resblocks[0].mlp.gelu).__name__
    )


def saved_state(path: Path, wrapped: bool = False) -> Path:
    torch.manual_seed(1)
    state = open_clip.CLIP(**SMALL).state_dict()
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"epoch": 1, "state_dict": {f"module.{k}": v for k, v in state.items()}} if wrapped else state, path)
    return path


def test_the_papers_backbones() -> None:
    large, base = get_backbone("ViT-L-14-336"), get_backbone(NAME)
    assert (large.layers, large.first_vv_block, large.image_size, large.pretrained) == (
        (6, 12, 18, 24),
        6,
        518,
        "openai",
    )
    assert (base.layers, base.first_vv_block, base.image_size, base.pretrained) == (
        (3, 6, 9, 12),
        4,
        512,
        "laion400m_e31",
    )
    assert [name for name, backbone in BACKBONES.items() if backbone.adapters] == ["ViT-L-14-336", "tiny"]


def test_other_vits_are_read_alike() -> None:
    backbone = get_backbone("ViT-H-14")
    assert (backbone.layers, backbone.first_vv_block, backbone.image_size) == ((8, 16, 24, 32), 9, 518)
    assert get_backbone("ViT-B-32").image_size == 512


@pytest.mark.parametrize(
    "name", ["ViT-X", "RN50", "convnext_base", "ViT-B-16-SigLIP", "coca_ViT-L-14", "roberta-ViT-B-32"]
)
def test_unknown_and_unfit_backbones_list_the_fit_ones(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"Backbone '{name}' .*'ViT-L-14-336', 'ViT-B-16-plus-240', 'tiny'.*'ViT-B-32'"
    ):
        load_clip(name)


def test_tiny_is_always_the_same_and_leaves_the_seed_alone() -> None:
    state = torch.random.get_rng_state()
    first, second = load_clip("tiny"), load_clip("tiny")
    assert torch.equal(torch.random.get_rng_state(), state)
    assert fingerprint(first.clip) == fingerprint(second.clip)
    torch.testing.assert_close(first.clip.state_dict(), second.clip.state_dict(), rtol=0, atol=0)
    assert first.weights == "generated"


def test_the_weights_of_tiny_may_be_named_by_a_path() -> None:
    """As the command line does."""
    found, expected = load_clip("tiny", Path("generated")), load_clip("tiny", "generated")
    assert fingerprint(found.clip) == fingerprint(expected.clip)


@pytest.mark.parametrize("file", ["a.safetensors", "a.pt", "wrapped.bin"])
@pytest.mark.usefixtures("small")
def test_local_files(tmp_path: Path, file: str) -> None:
    path = saved_state(tmp_path / file, wrapped=file.startswith("wrapped"))
    loaded = load_clip(NAME, path)
    torch.manual_seed(1)
    torch.testing.assert_close(loaded.clip.state_dict(), open_clip.CLIP(**SMALL).state_dict(), rtol=0, atol=0)
    assert loaded.weights == file
    assert activation(loaded.clip) == "GELUGELU"


@pytest.mark.usefixtures("small")
def test_openai_weights_get_quick_gelu(tmp_path: Path) -> None:
    """Whichever open_clip release, and from a local file too."""
    path = saved_state(tmp_path / "a.safetensors")
    assert activation(load_clip("ViT-L-14-336", path).clip) == "QuickGELUQuickGELU"
    assert activation(load_clip("ViT-B-16-quickgelu", path).clip) == "QuickGELUQuickGELU"


@pytest.mark.usefixtures("small")
def test_openai_tag_gets_quick_gelu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved_state(tmp_path / "downloaded.safetensors")
    downloads: list[Any] = []

    def download_pretrained(config: Any) -> str:
        downloads.append(config)
        return str(path)

    monkeypatch.setattr(open_clip, "download_pretrained", download_pretrained)
    assert activation(load_clip("ViT-L-14-336").clip) == "QuickGELUQuickGELU"
    assert activation(load_clip("ViT-B-16", "openai").clip) == "QuickGELUQuickGELU"
    assert activation(load_clip(NAME).clip) == "GELUGELU"
    tags = [("ViT-L-14-336", "openai"), ("ViT-B-16", "openai"), (NAME, "laion400m_e31")]
    assert downloads == [open_clip.get_pretrained_cfg(*tag) for tag in tags]


def torchscript(path: Path) -> Path:
    """OpenAI's format: a TorchScript archive in half precision with three numbers beside the weights."""
    torch.manual_seed(1)
    clip = open_clip.CLIP(**SMALL).half()
    for name in MARKERS:
        if hasattr(clip, name):
            delattr(clip, name)
        clip.register_buffer(name, torch.tensor(28))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        torch.jit.save(torch.jit.trace_module(Holder(clip), {"forward": torch.zeros(1)}), path)  # type: ignore[no-untyped-call]
    return path


class Holder(nn.Module):
    """Gives weights a forward that can be traced, under their own names."""

    def __init__(self, clip: nn.Module) -> None:
        super().__init__()
        self._modules.update(clip._modules)
        self._parameters.update(clip._parameters)
        self._buffers.update({name: clip._buffers[name] for name in MARKERS})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + 1


@pytest.mark.usefixtures("small")
def test_openais_own_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = torchscript(tmp_path / "ViT-B-16.pt")
    with pytest.raises(ValueError, match="TorchScript archive, which can hold code"):
        load_clip("ViT-B-16", path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr("anomalib_adaptclip.clip.loading._openai_hashes", lambda: {digest})
    clip = load_clip("ViT-B-16", path).clip
    assert activation(clip) == "QuickGELUQuickGELU"
    torch.manual_seed(1)
    torch.testing.assert_close(clip.visual.proj, open_clip.CLIP(**SMALL).visual.proj.half().float(), rtol=0, atol=0)


def test_openais_hashes_are_those_that_open_clip_records() -> None:
    from anomalib_adaptclip.clip.loading import _openai_hashes  # noqa: PLC0415

    assert "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02" in _openai_hashes()  # ViT-L-14-336px.pt


@pytest.mark.parametrize("pretrained", ["no-such-tag", "no/such/file.pt"])
def test_unknown_weights_list_the_tags(pretrained: str) -> None:
    with pytest.raises(ValueError, match=rf"pretrained='{pretrained}' is neither a tag nor a file.*laion400m_e31"):
        load_clip(NAME, pretrained)


def test_a_backbone_without_usual_weights_asks_for_them() -> None:
    with pytest.raises(ValueError, match=r"pretrained is not given. Its tags are .*laion2b_s34b_b79k"):
        load_clip("ViT-B-32")


@pytest.mark.usefixtures("small")
def test_weights_of_another_backbone(tmp_path: Path) -> None:
    state = open_clip.CLIP(**SMALL).state_dict()
    save_file({key: tensor for key, tensor in state.items() if ".resblocks.3." not in key}, tmp_path / "a.safetensors")
    with pytest.raises(
        ValueError, match=rf"a\.safetensors are not those of a {NAME}[\s\S]*visual\.transformer\.resblocks\.3"
    ):
        load_clip(NAME, tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds a list"),
        (None, "holds a NoneType"),
        ({}, "holds nothing"),
        ({"state_dict": 5}, "holds a int"),
        ({"visual": {"proj": torch.zeros(1)}}, "holds something else at 'visual', such as a dict"),
    ],
)
@pytest.mark.usefixtures("small")
def test_a_file_that_holds_no_weights(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=rf"a\.pt should hold a state dict, tensors by name, and {message}"):
        load_clip(NAME, tmp_path / "a.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda proj: proj * torch.nan, r"NaN or infinite numbers in visual\.proj"),
        (lambda proj: proj > 0, r"type: visual\.proj is torch\.bool, expected torch\.float32"),
        (lambda proj: proj[0], r"shape: visual\.proj is"),
    ],
)
@pytest.mark.usefixtures("small")
def test_a_tensor_that_is_wrong_inside(tmp_path: Path, change: Any, message: str) -> None:
    state = open_clip.CLIP(**SMALL).state_dict()
    torch.save(state | {"visual.proj": change(state["visual.proj"])}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=message) as error:
        load_clip(NAME, tmp_path / "a.pt")
    assert len(str(error.value)) < 1000


@pytest.mark.usefixtures("small")
def test_the_message_of_another_backbone_is_short(tmp_path: Path) -> None:
    save_file({f"a_key_of_another_model.{i}": torch.zeros(1) for i in range(1000)}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match="are not those of a") as raised:
        load_clip(NAME, tmp_path / "a.safetensors")
    assert len(str(raised.value)) < 1000
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", ["ViT-B-16", "ViT-B-16-quickgelu", NAME])
def test_an_activation_that_a_file_does_not_say(tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture) -> None:
    load_clip(name, saved_state(tmp_path / "a.safetensors"))
    told = "GELU is taken. If it was trained with QuickGELU" in caplog.text
    assert told is (name == "ViT-B-16")
    assert ("name that backbone" in caplog.text) is told


class Exploit:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("true",)


@pytest.mark.usefixtures("small")
def test_pickled_code_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": Exploit()}, tmp_path / "evil.pt")
    with pytest.raises(ValueError, match="holds pickled code"):
        load_clip(NAME, tmp_path / "evil.pt")


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def download_pretrained(*_: Any) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "download_pretrained", download_pretrained)
    with pytest.raises(
        ConnectionError, match=r"'openai' of ViT-L-14-336: no route to host\. .*--model\.pretrained PATH"
    ):
        load_clip("ViT-L-14-336")


@pytest.mark.usefixtures("small")
def test_fingerprint_is_of_weights_not_of_files(tmp_path: Path) -> None:
    path = saved_state(tmp_path / "a.safetensors")
    assert fingerprint(load_clip(NAME, path).clip) == fingerprint(load_clip(NAME, saved_state(tmp_path / "b.pt")).clip)


@pytest.mark.parametrize("weights", ["generated", "seed-0"])
def test_fingerprint_tells_a_change_of_any_tensor(weights: str) -> None:
    """Of one number in it: the last, for samples would miss it. Untrained words of `tiny` do not count."""
    clip = load_clip("tiny", weights).clip
    usual = fingerprint(clip)
    for name, parameter in clip.named_parameters():
        words = name == "token_embedding.weight" and weights == "generated"
        place = parameter.data[TRAINED_WORD] if words else parameter.data
        last = place.reshape(-1)[-1].clone()
        place.view(-1)[-1] = last + 1e-3
        assert fingerprint(clip) != usual, name
        place.view(-1)[-1] = last
    assert fingerprint(clip) == usual


def test_fingerprint_tells_activations_apart() -> None:
    usual = load_clip("tiny").clip
    quick = load_clip("tiny").clip
    for block in quick.visual.transformer.resblocks:
        block.mlp.gelu = open_clip.transformer.QuickGELU()
    assert fingerprint(quick) != fingerprint(usual)


def test_fingerprint_of_tiny_is_that_of_the_shipped_adapters_on_any_processor() -> None:
    """The seed's normal numbers differ in their last bits between processors, here by instruction set."""
    header = read_safetensors_header(TINY_FOLDER / "adapters.safetensors")
    assert fingerprint(load_clip("tiny").clip) == header["fingerprint"]
    code = "from anomalib_adaptclip.clip import *; print(fingerprint(load_clip('tiny').clip))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    plain = subprocess.run(
        command, env=os.environ | {"ATEN_CPU_CAPABILITY": "default"}, capture_output=True, text=True, check=True
    )
    assert plain.stdout.strip() == header["fingerprint"]


def test_positions_are_resized_bilinearly_without_antialias() -> None:
    table = torch.cat([torch.tensor([[9.0]]), torch.arange(4.0)[:, None]])
    resized = resize_positions(table, (2, 2), (2, 4))
    expected = torch.tensor([9.0, 0.0, 0.25, 0.75, 1.0, 2.0, 2.25, 2.75, 3.0])
    torch.testing.assert_close(resized.squeeze(1), expected)
    assert resize_positions(table, (2, 2), (2, 2)) is table
