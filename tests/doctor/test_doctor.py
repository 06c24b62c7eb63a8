# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The doctor: each fault is found and has a remedy, and nothing goes over the network unasked."""

import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import huggingface_hub
import open_clip
import pytest
import torch

from anomalib_adaptclip.doctor import examine, installation, machine, weights
from anomalib_adaptclip.doctor.finding import Finding
from anomalib_adaptclip_cli.main import main
from tests.loopback import Store, serve


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("something went over the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def empty_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without any weights."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    return tmp_path


class Startup:
    """Stands for the finder of the start-up file."""

    __module__ = "_anomalib_adaptclip_startup"

    def find_spec(self, *_: object) -> None:
        """Leave all to the others."""


@pytest.mark.usefixtures("no_network", "empty_caches")
def test_a_good_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "meta_path", [Startup(), *sys.meta_path])
    assert main(["doctor", "--results", str(tmp_path / "results")]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    assert last == "All is well."
    assert {line.split()[0] for line in lines} <= {"ok", "note"}
    told = "\n".join(lines)
    for part in (
        "Python 3.",
        f"torch {torch.__version__.split('+')[0]}",
        "anomalib knows AdaptCLIP",
        "tiny: ",
        str(tmp_path),
    ):
        assert part in told
    assert "note   ViT-L-14-336, weights openai: not on this machine" in told
    assert "note   Adapters mvtec: not on this machine" in told
    assert not (tmp_path / "results").exists()


@pytest.mark.usefixtures("no_network", "empty_caches")
def test_a_fault_makes_the_exit_code_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "meta_path", [Startup(), *sys.meta_path])
    (tmp_path / "file").write_text("no folder")
    assert main(["doctor", "--results", str(tmp_path / "file" / "results")]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "1 fault."
    assert any(line.startswith("fault  Results cannot be written") and "default_root_dir" in line for line in lines)


class TestInstallation:
    def test_versions_that_do_not_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own = metadata.version
        monkeypatch.setattr(metadata, "version", lambda name: "1.0" if name == "torch" else own(name))
        faults = [found.text for found in installation.examine_packages() if found.state == "fault"]
        assert len(faults) == 1
        assert faults[0].startswith("torch: version 1.0 does not fit >=2.6. Install what fits")

    def test_a_package_that_is_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        own = metadata.version

        def version(name: str) -> str:
            if name == "safetensors":
                raise metadata.PackageNotFoundError(name)
            return own(name)

        monkeypatch.setattr(metadata, "version", version)
        faults = [found.text for found in installation.examine_packages() if found.state == "fault"]
        assert len(faults) == 1
        assert faults[0].startswith("safetensors: missing")

    def test_a_copy_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def requires(name: str) -> None:
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "requires", requires)
        [found] = installation.examine_packages()
        assert (found.state, "pip install" in found.text) == ("fault", True)

    def test_a_start_up_file_that_was_not_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("ANOMALIB_ADAPTCLIP_AUTOLOAD", raising=False)
        monkeypatch.setattr(sys, "meta_path", [])
        [found] = installation.examine_registration()
        assert (found.state, "--force-reinstall" in found.text) == ("fault", True)
        monkeypatch.setenv("ANOMALIB_ADAPTCLIP_AUTOLOAD", "0")
        assert [one.state for one in installation.examine_registration()] == ["note"]


class TestMachine:
    def test_a_disk_that_is_full(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(machine, "_LEAST_FREE", 1e30)
        [found] = machine.examine_results(tmp_path)
        assert (found.state, "Make room" in found.text) == ("fault", True)

    def test_a_gpu_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        properties = type("Properties", (), {"name": "Card", "total_memory": 8e9})
        for name, value in {"is_available": True, "device_count": 1, "is_bf16_supported": False}.items():
            monkeypatch.setattr(torch.cuda, name, lambda value=value: value)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
        assert [*machine.examine_devices()] == [Finding("ok", "cuda:0: Card, 8 GB, float16")]


class TestWeights:
    def test_what_is_cached_is_found(self, empty_caches: Path) -> None:
        url = open_clip.get_pretrained_cfg("ViT-L-14-336", "openai")["url"]
        file = empty_caches / ".cache" / "clip" / url.rpartition("/")[2]
        file.parent.mkdir(parents=True)
        file.touch()
        assert f"ViT-L-14-336, weights openai: {file}" in [one.text for one in weights.examine_weights(online=False)]

    @pytest.mark.usefixtures("empty_caches")
    def test_servers_are_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Store(files={("", "/weights.pt"): b"numbers"})
        with serve(store):
            monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: {"url": f"{store.address}/weights.pt"})
            monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *_: f"{store.address}/none.pth")
            states = {one.text.partition(":")[0]: one for one in weights.examine_weights(online=True)}
        assert states["ViT-L-14-336, weights openai"].state == "ok"
        assert states["Adapters visa"].state == "fault"
        assert "adapters=FILE" in states["Adapters visa"].text
        assert {request.split()[0] for request in store.requests} == {"HEAD"}


def test_findings_come_in_the_order_of_need(tmp_path: Path) -> None:
    texts = [found.text for found in examine(tmp_path)]
    assert texts[0].startswith("anomalib-adaptclip ")
    assert texts[-1].startswith("Results go to")
