# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""OpenAI's form of a CLIP by open_clip's own download, from a server on this machine."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import open_clip
import pytest
import torch

from anomalib_adaptclip.clip import load_clip
from tests.loopback import Fault, Store, serve

from .test_backbones import SMALL, activation, small, torchscript

__all__ = ["small"]
pytestmark = pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # open_clip leaves it to Python


@pytest.fixture
def openai(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store with a small ViT-B-16, which open_clip knows the address of, and an empty cache."""
    content = torchscript(tmp_path / "made.pt").read_bytes()
    path = f"/openaipublic/clip/models/{hashlib.sha256(content).hexdigest()}/ViT-B-16.pt"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr("anomalib_adaptclip.clip.loading.TIMEOUT", 1.0)
    with serve(Store(files={("", path): content})) as store:
        table = open_clip.pretrained._PRETRAINED["ViT-B-16"]
        monkeypatch.setitem(table, "openai", dict(table["openai"], url=store.address + path))
        yield store


@pytest.mark.usefixtures("small")
def test_the_archive_is_downloaded_once(openai: Store) -> None:
    for _ in range(2):
        clip = load_clip("ViT-B-16", "openai").clip
    assert activation(clip) == "QuickGELUQuickGELU"
    torch.manual_seed(1)
    torch.testing.assert_close(clip.visual.proj, open_clip.CLIP(**SMALL).visual.proj.half().float(), rtol=0, atol=0)
    assert len(openai.requests) == 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("fault", ["cut", "short", "hang", "gated"])
@pytest.mark.filterwarnings("ignore:.*SHA256 checksum does not match; re-downloading:UserWarning")
def test_a_failed_transfer_is_told_and_the_next_one_works(openai: Store, fault: Fault) -> None:
    openai.fault = fault
    with pytest.raises(ConnectionError, match=r"'openai' of ViT-B-16: .* --model\.pretrained PATH") as raised:
        load_clip("ViT-B-16", "openai")
    assert "\n" not in str(raised.value)
    openai.fault = ""
    load_clip("ViT-B-16", "openai")
