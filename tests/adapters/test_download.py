# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Published adapters by the real client of Hugging Face, from a server on this machine."""

import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from huggingface_hub import constants

from anomalib_adaptclip.adapters.adapter_slot import AdapterSlot
from anomalib_adaptclip.adapters.published_download import PUBLISHED_ADAPTERS, fetch_published
from anomalib_adaptclip.clip import get_backbone
from tests.conftest import GOLDEN
from tests.loopback import Fault, Store, serve

OLD, NEW = "a" * 40, "b" * 40
FILE = PUBLISHED_ADAPTERS["mvtec"].filename
TRAINED = (GOLDEN / "adapters_after_training.pth").read_bytes()
UNTRAINED = (GOLDEN / "adapters_before_training.pth").read_bytes()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A hub with two commits of the repository, and an empty cache."""
    store = Store({"main": NEW, "v1": OLD}, {(OLD, FILE): UNTRAINED, (NEW, FILE): TRAINED})
    with serve(store):
        point_to(store.address, monkeypatch)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
            monkeypatch.setattr(constants, name, 1)
        yield store


def point_to(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def slot(source: str, revision: str | None = None) -> AdapterSlot:
    return AdapterSlot(source, get_backbone("ViT-L-14-336"), revision)


@pytest.mark.parametrize(
    ("revision", "content"), [(None, TRAINED), ("main", TRAINED), ("v1", UNTRAINED), (OLD, UNTRAINED)]
)
def test_a_revision_is_downloaded(hub: Store, revision: str | None, content: bytes) -> None:
    assert fetch_published("mvtec", revision).read_bytes() == content
    assert f"GET /csgaobb/AdaptCLIP/resolve/{revision or 'main'}/{FILE}" in hub.requests


@pytest.mark.parametrize("offline", [True, False])
def test_a_cached_copy_needs_no_server(hub: Store, offline: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch_published("mvtec")
    hub.requests.clear()
    if offline:
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        point_to("http://127.0.0.1:9", monkeypatch)  # where nothing listens
    assert fetch_published("mvtec").read_bytes() == TRAINED
    assert hub.requests == []


def test_offline_without_a_copy_says_what_to_do(hub: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match=r"Could not get .*pass its path: --model\.adapters PATH"):
        fetch_published("mvtec")
    assert hub.requests == []


@pytest.mark.parametrize("fault", ["cut", "short", "hang", "gated"])
def test_a_failed_transfer_is_one_line_and_leaves_no_copy(hub: Store, fault: Fault) -> None:
    hub.fault = fault
    began = time.monotonic()
    with pytest.raises(ConnectionError, match=r"^Could not get .*pass its path: --model\.adapters PATH") as raised:
        fetch_published("mvtec")
    assert time.monotonic() - began < 10
    assert "\n" not in str(raised.value)
    hub.fault = ""
    assert fetch_published("mvtec").read_bytes() == TRAINED


def test_a_missing_file_is_told(hub: Store) -> None:
    hub.files.clear()
    with pytest.raises(ConnectionError, match=rf"Could not get {FILE} .*\(revision newest\): "):
        fetch_published("mvtec")


@pytest.mark.parametrize("revision", ["no-such-branch", "f" * 40])
@pytest.mark.usefixtures("hub")
def test_an_unknown_revision_is_told(revision: str) -> None:
    with pytest.raises(ValueError, match=rf"\(revision {revision}\): there is no such revision\. Name a branch"):
        fetch_published("mvtec", revision)


@pytest.mark.usefixtures("hub")
def test_a_pin_that_fits() -> None:
    pinned = slot(f"mvtec@sha256:{sha256(UNTRAINED).hexdigest().upper()}", "v1")
    file = pinned.read_known()
    assert file is not None
    assert file.sha256 == sha256(UNTRAINED).hexdigest()
    assert pinned.source == "mvtec"


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.usefixtures("hub")
def test_a_pin_of_another_content_names_both_hashes(cached: bool) -> None:
    found, pin = sha256(TRAINED).hexdigest(), sha256(UNTRAINED).hexdigest()
    if cached:
        fetch_published("mvtec")
    with pytest.raises(ValueError, match=rf"epoch_15\.pth has the SHA-256 {found}, .*pinned to {pin}\. .*remove it"):
        slot(f"mvtec@sha256:{pin}").read_known()


@pytest.mark.usefixtures("hub")
def test_a_copy_that_was_changed_in_the_cache_is_refused() -> None:
    path = fetch_published("mvtec")
    path.write_bytes(UNTRAINED)
    with pytest.raises(ValueError, match="has the SHA-256"):
        slot(f"mvtec@sha256:{sha256(TRAINED).hexdigest()}").read_known()


def test_a_local_file_may_be_pinned_too(tmp_path: Path) -> None:
    path = tmp_path / "adapters.pth"
    path.write_bytes(TRAINED)
    assert slot(f"{path}@sha256:{sha256(TRAINED).hexdigest()}").read_known()
    with pytest.raises(ValueError, match="has the SHA-256"):
        slot(f"{path}@sha256:{sha256(UNTRAINED).hexdigest()}").read_known()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("mvtec@sha256:12", "64 hexadecimal digits; got '12'"),
        ("mvtec@sha256:" + "x" * 64, "64 hexadecimal digits"),
        ("auto@sha256:" + "0" * 64, "pins no file"),
        ("none@sha256:" + "0" * 64, "pins no file"),
    ],
)
def test_a_wrong_pin_is_told_at_once(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        slot(source)
