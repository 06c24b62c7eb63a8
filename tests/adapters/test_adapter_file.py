# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Adapter files: both layouts, and everything that can be wrong with them."""

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.adapters import AdapterOptions
from anomalib_adaptclip.adapters.adapter_file import read_adapter_file
from anomalib_adaptclip.adapters.adapter_header import AdapterHeader
from anomalib_adaptclip.adapters.published_download import PUBLISHED_ADAPTERS, REPOSITORY, fetch_published
from anomalib_adaptclip.adapters.published_layout import from_published, to_published
from tests.conftest import GOLDEN, save_published

TRAINED = GOLDEN / "adapters_after_training.pth"


def build(clip: Any, hidden_dim: int = 32, **options: Any) -> AdaptCLIPModel:
    return AdaptCLIPModel(clip, (1, 3, 4, 6), 3, hidden_dim=hidden_dim, **options).eval()


def save_ours(model: AdaptCLIPModel, path: Path) -> Path:
    save_file(model.adapters.state_dict(), path, metadata={"base": "MVTecAD"})
    return path


def test_both_layouts_load_the_same(
    golden_model: AdaptCLIPModel, golden: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    golden_model.set_prompts(golden["prompt"])
    expected = golden_model(golden["query"])
    for path in (
        save_ours(golden_model, tmp_path / "ours.safetensors"),
        save_published(golden_model, tmp_path / "theirs.pth"),
    ):
        other = build(golden_model.clip)
        other.set_prompts(golden["prompt"])
        assert not torch.allclose(other(golden["query"]).pred_score, expected.pred_score)
        other.load_adapters(path)
        torch.testing.assert_close(other(golden["query"]), expected, rtol=0, atol=0)


def test_a_file_tells_its_hash_sizes_and_header(golden_model: AdaptCLIPModel, tmp_path: Path) -> None:
    path = save_ours(golden_model, tmp_path / "ours.safetensors")
    file = read_adapter_file(path)
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert file.header == AdapterHeader(base="MVTecAD")
    assert read_adapter_file(TRAINED).header == AdapterHeader()
    for read in (file, read_adapter_file(TRAINED)):
        assert read.applied_to(AdapterOptions(topk=3)) == AdapterOptions(
            topk=3, prompt_length=12, reduction=4, hidden_dim=32
        )
        assert set(read.adapters) == {"visual", "textual", "prompt_query"}


def test_renaming_there_and_back_is_exact(golden_model: AdaptCLIPModel) -> None:
    state = golden_model.adapters.state_dict()
    torch.testing.assert_close(from_published(to_published(state)), dict(state), rtol=0, atol=0)


@pytest.mark.parametrize("names", [("visual",), ("textual",), ("visual", "prompt_query")])
@pytest.mark.parametrize("published", [True, False])
def test_a_subset_takes_its_part(golden_model: AdaptCLIPModel, tmp_path: Path, names: Any, published: bool) -> None:
    model = build(golden_model.clip, adapters=names)
    model.load_adapters(TRAINED if published else save_ours(golden_model, tmp_path / "a.safetensors"))
    for name in names:
        expected = golden_model.adapters[name].state_dict()
        torch.testing.assert_close(model.adapters[name].state_dict(), expected, rtol=0, atol=0)


def edited(path: Path, **sections: dict[str, torch.Tensor | None]) -> Path:
    """The trained adapters with some tensors replaced, added or (None) removed."""
    content = torch.load(TRAINED, weights_only=True)
    for section, changes in sections.items():
        content[section] = {k: v for k, v in (content[section] | changes).items() if v is not None}
    torch.save(content, path)
    return path


def test_all_keys_at_fault_are_listed(golden_model: AdaptCLIPModel, tmp_path: Path) -> None:
    path = edited(
        tmp_path / "bad.pth",
        visual_learner={"local_adater.fc.0.weight": None, "extra": torch.zeros(1)},
        textual_learner={"ctx_pos": torch.zeros(1, 1, 4, 64)},
        pq_learner={"local_adapter.2.8.bias": torch.ones(2)},
    )
    with pytest.raises(ValueError, match="do not fit this model") as error:
        golden_model.load_adapters(path)
    for fault in (
        str(path),
        "missing: visual_learner.local_adater.fc.0.weight (16, 64)",
        "unexpected: visual_learner.extra",
        "shape: textual_learner.ctx_pos is (1, 1, 4, 64), expected (1, 1, 12, 64)",
        "differs between layers: pq_learner.local_adapter.2.8.bias",
    ):
        assert fault in str(error.value)


def test_a_file_of_ours_that_lacks_keys(golden_model: AdaptCLIPModel, tmp_path: Path) -> None:
    state = golden_model.adapters.state_dict()
    removed = [key for key in state if key.startswith("visual.local_mlp.layers.1")]
    save_file({key: tensor for key, tensor in state.items() if key not in removed}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=f"{len(removed)} keys") as error:
        golden_model.load_adapters(tmp_path / "a.safetensors")
    assert all(f"missing: {key}" in str(error.value) for key in removed)


def test_another_width_is_refused_and_changes_nothing(golden_clip: Any) -> None:
    model = build(golden_clip, hidden_dim=16)
    before = {key: tensor.clone() for key, tensor in model.adapters.state_dict().items()}
    with pytest.raises(ValueError, match="belong to another backbone or were made with other sizes"):
        model.load_adapters(TRAINED)
    torch.testing.assert_close(dict(model.adapters.state_dict()), before, rtol=0, atol=0)


@pytest.mark.parametrize("keep", [0, 100, 100_000])
@pytest.mark.parametrize("name", ["cut.pth", "cut.safetensors"])
def test_a_truncated_file(golden_model: AdaptCLIPModel, tmp_path: Path, keep: int, name: str) -> None:
    whole = TRAINED if name.endswith("pth") else save_ours(golden_model, tmp_path / "whole.safetensors")
    (tmp_path / name).write_bytes(whole.read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf"{name} is damaged"):
        golden_model.load_adapters(tmp_path / name)


class Exploit:
    """What a malicious file does when it is unpickled naively."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch /tmp/adaptclip-was-here",)


def test_pickled_code_is_refused(golden_model: AdaptCLIPModel, tmp_path: Path) -> None:
    torch.save({"visual_learner": Exploit()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil\.pth was refused: it holds pickled code"):
        golden_model.load_adapters(tmp_path / "evil.pth")
    assert not Path("/tmp/adaptclip-was-here").exists()  # noqa: S108


@pytest.mark.parametrize("content", [torch.zeros(3), {"visual_learner": torch.zeros(3)}, {"a": {"b": 1}}])
def test_something_else_in_a_torch_file(golden_model: AdaptCLIPModel, tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(
        ValueError, match=r"expected a dict of the state dicts \['textual_learner', 'visual_learner', 'pq_learner'\]"
    ):
        golden_model.load_adapters(tmp_path / "other.pth")


def test_a_missing_file(golden_model: AdaptCLIPModel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no adapter file .*nowhere\.pth.*mvtec.*visa"):
        golden_model.load_adapters(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("name", ["mvtec", "visa"])
def test_published_files_are_fetched_by_name_and_revision(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    calls: list[tuple[Any, ...]] = []

    def download(repo_id: str, filename: str, revision: str | None) -> str:
        calls.append((repo_id, filename, revision))
        return str(TRAINED)

    monkeypatch.setattr("anomalib_adaptclip.adapters.published_download.hf_hub_download", download)
    assert fetch_published(name, "v1") == TRAINED
    filename = f"adaptclip_checkpoints/12_4_128_train_on_{name}_3adapters_batch8/epoch_15.pth"
    assert calls == [(REPOSITORY, filename, "v1")]


def test_a_failed_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr("anomalib_adaptclip.adapters.published_download.hf_hub_download", download)
    with pytest.raises(ConnectionError, match="no route to host") as error:
        fetch_published("visa")
    for hint in (PUBLISHED_ADAPTERS["visa"].filename, REPOSITORY, "--model.adapters PATH"):
        assert hint in str(error.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("published", [True, False])
def test_a_weight_that_is_not_finite_is_refused_by_name(
    golden_model: AdaptCLIPModel, tmp_path: Path, value: float, published: bool
) -> None:
    golden_model.adapters.state_dict()["visual.global_mlp.layers.0.weight"][1, 2] = value
    path = (save_published if published else save_ours)(
        golden_model, tmp_path / f"a.{'pth' if published else 'safetensors'}"
    )
    name = r"visual_learner\.global_adapter\.fc\.0\.weight" if published else r"visual\.global_mlp\.layers\.0\.weight"
    with pytest.raises(ValueError, match=rf"holds NaN or infinite numbers in {name}\."):
        read_adapter_file(path)


@pytest.mark.parametrize("content", [{}, {"visual_learner": {}}, {"other": {"weight": torch.zeros(1)}}])
def test_a_published_file_without_adapters(tmp_path: Path, content: Any) -> None:
    torch.save(content, tmp_path / "a.pth")
    with pytest.raises(ValueError, match=r"a\.pth is no adapter file: expected tensors of \['textual_learner'"):
        read_adapter_file(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (None, "expected tensors of .* but it holds no tensors"),
        ({"other.weight": torch.zeros(1)}, r"it holds \['other\.weight'\]"),
        ({"textual.contexts": torch.zeros(3)}, r"textual\.contexts has the shape \(3,\), not one of 3 dimensions"),
        ({"visual.local_mlp.layers.0.weight": torch.zeros(0, 4)}, r"has the shape \(0, 4\), not one of 2 dimensions"),
    ],
)
def test_a_file_of_ours_without_adapters(tmp_path: Path, change: Any, message: str) -> None:
    save_file(change or {}, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=rf"a\.safetensors is no adapter file: .*{message}.*Give another file"):
        read_adapter_file(tmp_path / "a.safetensors")


def test_numbers_of_another_kind_are_told(golden_model: AdaptCLIPModel, tmp_path: Path) -> None:
    state = dict(golden_model.adapters.state_dict())
    state["visual.global_mlp.layers.0.weight"] = state["visual.global_mlp.layers.0.weight"] > 0
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"type: visual\.global_mlp\.layers\.0\.weight is torch\.bool, expected"):
        golden_model.load_adapters(tmp_path / "a.safetensors")


def test_adapters_that_were_not_asked_for_do_not_become_plain_clip(
    golden_model: AdaptCLIPModel, tmp_path: Path
) -> None:
    state = {key: tensor for key, tensor in golden_model.adapters.state_dict().items() if key.startswith("textual.")}
    save_file(state, tmp_path / "a.safetensors")
    file = read_adapter_file(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"holds the adapters \['textual'\], and none of those asked for"):
        file.applied_to(AdapterOptions(adapters=("visual",)))


@pytest.mark.parametrize(("entry", "value"), [("topk", "0"), ("topk", "-1"), ("mode", "other")])
def test_a_header_out_of_range_names_the_file(
    golden_model: AdaptCLIPModel, tmp_path: Path, entry: str, value: str
) -> None:
    save_file(golden_model.adapters.state_dict(), tmp_path / "a.safetensors", metadata={entry: value})
    file = read_adapter_file(tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=rf"a\.safetensors cannot be used: {entry} must be .*; got .*\. Get it again"):
        file.applied_to(AdapterOptions())


@pytest.mark.parametrize("topk", [0, -1])
def test_topk_is_at_least_one(topk: int) -> None:
    with pytest.raises(ValueError, match=f"topk must be at least 1; got {topk}"):
        AdapterOptions(topk=topk)
