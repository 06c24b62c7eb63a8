# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Files of weights that are right, and files that are wrong: adapters, banks, checkpoints, CLIP."""

import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from anomalib_adaptclip import AdaptCLIP, PromptBank
from anomalib_adaptclip.adapters.adapter_file import write_adapter_file
from anomalib_adaptclip.adapters.adapter_header import AdapterHeader
from tests.conftest import save_published

State = dict[str, torch.Tensor]
Change = Callable[[State], object]
NAN = float("nan")


def write_weights(folder: Path, model: AdaptCLIP) -> None:
    """Write them for a model that is the right one for what is right."""
    _write_adapters(folder, model)
    _write_banks(folder, model)
    _write_checkpoints(folder, model)
    _write_clips(folder, model)


def _states(folder: Path, name: str, whole: Path, changes: Mapping[str, Change], headers: Mapping[str, Any]) -> None:
    """Write copies of a safetensors file with other tensors, or with another header; None removes an entry."""
    with safe_open(whole, "pt") as file:
        metadata = dict(file.metadata() or {})
    for kind, change in changes.items():
        state = load_file(whole)
        change(state)
        save_file(state, folder / f"{name}-{kind}.safetensors", metadata)
    for kind, header in headers.items():
        entries = {key: value for key, value in (metadata | header).items() if value is not None}
        save_file(load_file(whole), folder / f"{name}-{kind}.safetensors", entries)
    data = whole.read_bytes()
    damaged = {"empty": b"", "cut": data[: len(data) // 2], "text": b"no tensors at all", "huge": b"\xff" * 64}
    for kind, content in damaged.items():
        (folder / f"{name}-{kind}.safetensors").write_bytes(content)


def _put(key: str, value: torch.Tensor) -> Change:
    return lambda state: state.update({key: value})


def _write_adapters(folder: Path, model: AdaptCLIP) -> None:
    whole = folder / "adapters.safetensors"
    header = AdapterHeader("tiny", "generated", model.clip_identity.fingerprint, image_size=(56, 56))
    write_adapter_file(whole, model.model.adapters, header)
    contexts = load_file(whole)["textual.contexts"]
    changes: dict[str, Change] = {
        "none": dict.clear,
        "nan": _put("textual.contexts", contexts * NAN),
        "flat": _put("textual.contexts", torch.ones(3)),
        "narrow": _put("textual.contexts", contexts[..., :-1].contiguous()),
        "more": _put("textual.more", torch.ones(1)),
        "fewer": lambda state: state.pop("textual.contexts"),
        "other": _put("unknown.a", torch.ones(1)),
        "void": _put("textual.contexts", contexts[:, :0].contiguous()),
        "whole-numbers": _put("textual.contexts", contexts.long()),
        "visual": lambda state: [state.pop(key) for key in [*state] if not key.startswith("visual")],
    }
    headers = {
        "layers": {"layers": "[1, a]"},
        "size": {"image_size": "[56]"},
        "topk": {"topk": "many"},
        "topk-0": {"topk": "0"},
        "context": {"context": "yes"},
        "mode": {"mode": "both"},
        "epochs": {"epochs": "1.5"},
        "joint": {"mode": "joint"},
        "versions": {"versions": "[]"},
        "categories": {"base_categories": "[1]"},
        "earlier": {"earlier_bases": '{"MVTecAD": "bottle"}'},
        "clip": {"fingerprint": "0" * 64},
        "unnamed": {"backbone": None},
        "backbone": {"backbone": "ViT-None"},
        "no-context": {"context": "false"},
    }
    _states(folder, "adapters", whole, changes, headers)
    save_published(model.model, folder / "published.pth")
    content = torch.load(folder / "published.pth", weights_only=True)
    (folder / "published-cut.pth").write_bytes((folder / "published.pth").read_bytes()[:5000])
    torch.save({}, folder / "published-empty.pth")
    torch.save([1], folder / "published-list.pth")
    torch.save(content | {"visual_learner": 3}, folder / "published-number.pth")
    torch.save({key: part for key, part in content.items() if key != "pq_learner"}, folder / "published-two.pth")
    torch.save({"state_dict": {"a": torch.ones(1)}}, folder / "published-other.pth")
    torch.save(Path("code"), folder / "code.pth")


def _write_banks(folder: Path, model: AdaptCLIP) -> None:
    whole = folder / "bank.safetensors"
    bank = PromptBank(model.model, "tiny")
    bank.add("gear", torch.rand(2, 3, 56, 56))
    bank.save(whole)
    tokens = load_file(whole)["prompts.gear"]
    changes: dict[str, Change] = {
        "nan": _put("prompts.gear", tokens * NAN),
        "flat": _put("prompts.gear", tokens[0, 0, 0]),
        "bool": _put("prompts.gear", tokens > 0),
        "void": _put("prompts.gear", tokens[:, :0].contiguous()),
        "narrow": _put("prompts.gear", tokens[..., :-1].contiguous()),
        "one-layer": _put("prompts.gear", tokens[:1].contiguous()),
        "odd-name": _put("gear", tokens.clone()),
    }
    headers: dict[str, Any] = {
        "format": {"format": "bank-9"},
        "formless": {"format": None},
        "anonymous": {"fingerprint": ""},
        "lacking": {"fingerprint": None},
        "size": {"image_size": "[56]"},
        "sizes": {"image_size": "wide"},
        "layers": {"layers": "3"},
        "layer-names": {"layers": '["a"]'},
        "first": {"first_vv_block": "x"},
        "images": {"images": "[]"},
        "image-list": {"images": '{"gear": 3}'},
        "clip": {"fingerprint": "0" * 64},
        "others": {"layers": "[1, 2, 3, 4]"},
        "block": {"first_vv_block": "1"},
        "224": {"image_size": "[224, 224]"},
        "deep": {"images": "[" * 3000},
    }
    _states(folder, "bank", whole, changes, headers)


def _write_checkpoints(folder: Path, model: AdaptCLIP) -> None:
    model.prepare()
    checkpoint: dict[str, Any] = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    checkpoint |= {"pytorch-lightning_version": "2.5.0", "epoch": 0, "global_step": 0}
    model.on_save_checkpoint(checkpoint)
    record, state = checkpoint["adaptclip"], checkpoint["state_dict"]
    key = next(name for name in state if name.startswith("model.adapters"))
    without = {name: {**checkpoint} for name in ("adaptclip", "state_dict", "hyper_parameters")}
    for name, content in without.items():
        del content[name]
    kinds: dict[str, Any] = {
        "": checkpoint,
        "-list": [1, 2],
        "-empty": {},
        "-no-record": without["adaptclip"],
        "-no-state": without["state_dict"],
        "-no-arguments": without["hyper_parameters"],
        "-odd-record": checkpoint | {"adaptclip": 3},
        "-short-record": checkpoint | {"adaptclip": {}},
        "-odd-state": checkpoint | {"state_dict": [1]},
        "-nan": checkpoint | {"state_dict": state | {key: state[key] * NAN}},
        "-lacking": checkpoint | {"state_dict": {name: value for name, value in state.items() if name != key}},
        "-shape": checkpoint | {"state_dict": state | {key: torch.ones(3)}},
        "-options": checkpoint | {"adaptclip": record | {"options": record["options"] | {"topk": "ten"}}},
        "-topk": checkpoint | {"adaptclip": record | {"options": record["options"] | {"topk": 0}}},
        "-fusion": checkpoint | {"adaptclip": record | {"options": record["options"] | {"fusion": "none"}}},
        "-files": checkpoint | {"adaptclip": record | {"prompt_files": 3}},
        "-clip": checkpoint | {"adaptclip": record | {"clip": record["clip"] | {"fingerprint": 3}}},
        "-other-clip": checkpoint | {"adaptclip": record | {"clip": record["clip"] | {"fingerprint": "0" * 64}}},
        "-size": checkpoint | {"adaptclip": record | {"input_size": [1, 2, 3]}},
        "-argument": checkpoint | {"hyper_parameters": dict(model.hparams) | {"shots": 3}},
        "-value": checkpoint | {"hyper_parameters": dict(model.hparams) | {"k_shot": "many"}},
        "-weights": state,
    }
    for kind, content in kinds.items():
        torch.save(content, folder / f"model{kind}.ckpt")
    (folder / "model-cut.ckpt").write_bytes((folder / "model.ckpt").read_bytes()[:20_000])
    (folder / "model-text.ckpt").write_text("not a checkpoint")
    (folder / "model-void.ckpt").write_bytes(b"")
    torch.save({"state_dict": {}, "code": Path("a")}, folder / "model-code.ckpt")


def _write_clips(folder: Path, model: AdaptCLIP) -> None:
    state = {key: value.contiguous().clone() for key, value in model.model.clip.state_dict().items()}
    first, second = [*state][:2]
    save_file(state, folder / "clip.safetensors")
    changes: dict[str, Change] = {
        "none": dict.clear,
        "nan": _put(first, state[first] * NAN),
        "shape": _put(first, torch.ones(3, 3, 3)),
        "fewer": lambda found: found.pop(first),
        "more": _put("more", torch.ones(1)),
        "bool": _put(second, state[second] > 0),
        "other": lambda found: [found.popitem() for _ in [*found]] and found.update(a=torch.ones(1)),
    }
    _states(folder, "clip", folder / "clip.safetensors", changes, {})
    contents: dict[str, Any] = {
        "list": [1],
        "number": 3,
        "empty": {},
        "mixed": state | {first: "text"},
        "nested": {"state_dict": {"state_dict": state}},
        "sparse": state | {first: torch.ones(2, 2).to_sparse()},
        "keys": {1: torch.ones(1)},
        "code": Path("a"),
        "half": {"state_dict": {key: value for key, value in state.items() if "visual" in key}},
    }
    for kind, content in contents.items():
        torch.save(content, folder / f"clip-{kind}.pt")
    (folder / "clip-text.pt").write_text("weights")
    with zipfile.ZipFile(folder / "clip-jit.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"")
