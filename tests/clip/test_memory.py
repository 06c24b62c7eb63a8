# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""CLIP's weights in memory: once, in their file where they can be, and as safe to use as weights of their own."""

import copy
import json
import os
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file

from anomalib_adaptclip.clip import load_clip

from . import test_backbones
from .test_backbones import NAME, saved_state, small, torchscript

__all__ = ["small"]
FILES = ["a.safetensors", "a.pt"]

LARGE = {
    "embed_dim": 64,
    "vision_cfg": {"image_size": 28, "layers": 12, "width": 768, "patch_size": 14},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 1},
}
MEASURE = """
import hashlib, json, os, sys, warnings
from pathlib import Path
warnings.simplefilter("ignore")
import open_clip
from anomalib_adaptclip.clip import loading

def status():
    rows = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {row[0]: 1024 * int(row[1]) for row in rows if row[0] in ("VmHWM:", "VmRSS:", "RssAnon:")}

open_clip.factory._MODEL_CONFIGS["ViT-B-16"] = json.loads(sys.argv[1])
for path in map(Path, sys.argv[2:]):
    if os.fork() == 0:  # each in a process of its own
        loading._openai_hashes = lambda: {hashlib.sha256(path.read_bytes()).hexdigest()}
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        before = status()
        clip = loading.load_clip("ViT-B-16", path).clip
        after = status()
        size = sum(tensor.nbytes for tensor in clip.parameters())
        peak, own = after["VmHWM:"] - before["VmRSS:"], after["RssAnon:"] - before["RssAnon:"]
        print(path.name, peak / size, own / size, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="the peak of a process is read as Linux tells it"
)
def test_weights_are_in_memory_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 350 MB: what the process holds at most, and what of it is its own, not the file's, as shares of that."""
    monkeypatch.setattr(test_backbones, "SMALL", LARGE)
    paths = [
        saved_state(tmp_path / "a.safetensors"),
        saved_state(tmp_path / "a.pt"),
        torchscript(tmp_path / "openai.pt"),
    ]
    command = [sys.executable, "-c", MEASURE, json.dumps(LARGE), *map(str, paths)]
    giving = os.environ | {"MALLOC_MMAP_THRESHOLD_": "100000"}  # the allocator gives back what is freed
    done = subprocess.run(command, env=giving, capture_output=True, text=True, check=True)
    found = {name: (float(peak), float(own)) for name, peak, own in map(str.split, done.stdout.splitlines())}
    assert list(found) == ["a.safetensors", "a.pt", "openai.pt"], done
    for name, (peak, own) in found.items():
        assert 0.9 < peak < 1.2, found
        assert (own < 0.1) is (name != "openai.pt"), found


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("file", FILES)
def test_it_computes_what_a_model_with_copied_weights_does(tmp_path: Path, file: str) -> None:
    path = saved_state(tmp_path / file)
    loaded, copied = load_clip(NAME, path).clip, open_clip.create_model(NAME, str(path)).eval()
    assert dict(loaded.named_buffers()).keys() == dict(copied.named_buffers()).keys()
    torch.testing.assert_close(dict(loaded.named_buffers()), dict(copied.named_buffers()), rtol=0, atol=0)
    flags = [[parameter.requires_grad for parameter in clip.parameters()] for clip in (loaded, copied)]
    assert flags[0] == flags[1]
    assert loaded.visual.preprocess_cfg == copied.visual.preprocess_cfg
    images, ids = torch.rand(2, 3, 28, 28), open_clip.tokenize(["a photo of a gear", "a scratch"])
    for found, expected in zip(loaded(images, ids), copied(images, ids), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("file", FILES)
def test_mapped_weights_are_trained_without_a_trace_in_their_file(tmp_path: Path, file: str) -> None:
    path = saved_state(tmp_path / file)
    content, clip = path.read_bytes(), load_clip(NAME, path).clip
    before = {name: tensor.detach().clone() for name, tensor in clip.named_parameters()}
    clip.encode_image(torch.rand(2, 3, 28, 28)).square().sum().backward()
    torch.optim.SGD(clip.parameters(), lr=1.0).step()
    assert not torch.equal(clip.visual.proj, before["visual.proj"])
    assert path.read_bytes() == content
    assert torch.equal(load_clip(NAME, path).clip.visual.proj, before["visual.proj"])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("file", FILES)
def test_a_file_may_be_replaced_or_deleted_while_its_weights_serve(tmp_path: Path, file: str) -> None:
    path = saved_state(tmp_path / file)
    clip = load_clip(NAME, path).clip
    twin, expected = copy.deepcopy(clip), clip.visual.proj.detach().clone()
    other = tmp_path / "other.safetensors"
    save_file({name: tensor + 1 for name, tensor in clip.state_dict().items()}, other)
    other.replace(path)
    assert torch.equal(clip.visual.proj, expected)
    path.unlink()
    assert torch.equal(clip.visual.proj, expected)
    assert torch.equal(twin.visual.proj, expected)
    assert torch.equal(clip.half().visual.proj, expected.half())


@pytest.mark.usefixtures("small")
def test_files_that_cannot_be_mapped_are_read(tmp_path: Path) -> None:
    """Those of torch before 1.6, and numbers that are not float32 or lie in another order."""
    state = {
        name: tensor.bfloat16()
        for name, tensor in open_clip.CLIP(**open_clip.get_model_config(NAME)).state_dict().items()
    }
    state["visual.proj"] = state["visual.proj"].T.contiguous().T
    torch.save(state, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    clip = load_clip(NAME, tmp_path / "a.pt").clip
    assert {tensor.dtype for tensor in clip.parameters()} == {torch.float32}
    assert all(tensor.is_contiguous() for tensor in clip.parameters())
    assert torch.equal(clip.visual.proj, state["visual.proj"].float())
