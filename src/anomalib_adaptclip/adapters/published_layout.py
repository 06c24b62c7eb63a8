# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The layout of the published adapter files: a dict of three state dicts, under other names than ours.

Inside the package tensors have the names of ``AdaptCLIPModel.adapters.state_dict()``; our safetensors files use them as
they are, and this module translates the published ones, in both directions.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from anomalib_adaptclip.clip import TextTower
from anomalib_adaptclip.clip.text_encoder import tokenize
from anomalib_adaptclip.files.tensors import State, is_dense, read_torch_file, require_finite, write_torch_file

# Ours, published. The misspelling is theirs. In the heads every layer repeats the same tensors.
SECTIONS = {"textual": "textual_learner", "visual": "visual_learner", "prompt_query": "pq_learner"}
_PREFIXES = {
    "visual.local_mlp.layers.": "visual_learner.local_adater.fc.",
    "visual.global_mlp.layers.": "visual_learner.global_adapter.fc.",
    "prompt_query.norms.": "pq_learner.sharebn.",
}
_HEADS = {
    "prompt_query.segmentation_head.": "pq_learner.local_adapter.",
    "prompt_query.image_head.": "pq_learner.global_adapter.",
}
_CONTEXTS = ("textual_learner.ctx_pos", "textual_learner.ctx_neg")  # normal, abnormal
_DERIVED = ("token_prefix_", "token_suffix_", "tokenized_prompts_")  # buffers that the context vectors determine


def to_published(state: Mapping[str, torch.Tensor]) -> State:
    """Rename tensors of ``AdaptCLIPModel.adapters`` to the published layout, flat: ``section.key``."""
    num_layers = len({key.split(".")[2] for key in state if key.startswith("prompt_query.norms.")})
    published: State = {}
    for key, tensor in state.items():
        if key == "textual.contexts":
            published |= dict(zip(_CONTEXTS, tensor[:, None, None], strict=True))  # (1, 1, r, W) each
        for ours, theirs in _PREFIXES.items():
            if key.startswith(ours):
                published[theirs + key.removeprefix(ours)] = tensor
        for ours, theirs in _HEADS.items():
            if key.startswith(ours):
                published |= {f"{theirs}{layer}.{key.removeprefix(ours)}": tensor for layer in range(num_layers)}
    return published


def from_published(published: Mapping[str, torch.Tensor]) -> State:
    """Rename tensors of the published layout, flat, to those of ``AdaptCLIPModel.adapters``."""
    state: State = {}
    for key, tensor in published.items():
        for ours, theirs in _PREFIXES.items():
            if key.startswith(theirs):
                state[ours + key.removeprefix(theirs)] = tensor
        for ours, theirs in _HEADS.items():
            if key.startswith(theirs):
                state[ours + key.removeprefix(theirs).partition(".")[2]] = tensor
    contexts = [published[key] for key in _CONTEXTS if key in published]
    if len(contexts) == len(_CONTEXTS) and contexts[0].shape == contexts[1].shape:  # else loading tells the fault
        state["textual.contexts"] = torch.cat([context[0] for context in contexts])
    return state


def read_published(path: Path) -> State:
    """Read a file in the published layout, flat: ``section.key``. Derived buffers are left out.

    Raises:
        ValueError: If the file is damaged, holds pickled code, or is no adapter file.
    """
    sections = read_torch_file(path)
    if not _is_state_dicts(sections):
        msg = f"{path} is no adapter file: expected a dict of the state dicts {[*SECTIONS.values()]}."
        raise ValueError(msg)
    flat = {f"{section}.{key}": tensor for section, keys in sections.items() for key, tensor in keys.items()}
    require_finite(path, flat)
    return {key: tensor for key, tensor in flat.items() if not key.split(".", 1)[1].startswith(_DERIVED)}


def _is_state_dicts(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(section, dict) and all(map(is_dense, section.values())) for section in content.values()
    )


def export_published(path: Path, adapters: nn.ModuleDict, tower: TextTower) -> None:
    """Save adapters in the published layout, so that other implementations can read what was trained here.

    Args:
        path: File to make or replace, a ``.pth``.
        adapters: ``AdaptCLIPModel.adapters``, all three.
        tower: Text tower, for the buffers that are derived from the context vectors.

    Raises:
        ValueError: If an adapter is missing: the layout has none without.
    """
    missing = [name for name in SECTIONS if name not in adapters]
    if missing:
        msg = f"The published layout holds all three adapters; {missing} are missing. Keep the safetensors file."
        raise ValueError(msg)
    sections: dict[str, State] = {section: {} for section in SECTIONS.values()}
    for key, tensor in to_published(adapters.state_dict()).items():
        section, name = key.split(".", 1)
        sections[section][name] = tensor.detach().cpu().clone()
    sections[SECTIONS["textual"]] |= _derived_buffers(tower, len(sections[SECTIONS["textual"]]["ctx_pos"][0, 0]))
    write_torch_file(path, sections)


def unequal_heads(published: Mapping[str, torch.Tensor]) -> list[str]:
    """Keys of the published layout whose tensors differ between layers, though all layers share their heads."""
    first: State = {}
    unequal = []
    for key, tensor in published.items():
        for theirs in _HEADS.values():
            if key.startswith(theirs):
                shared = theirs + key.removeprefix(theirs).partition(".")[2]
                if not torch.equal(first.setdefault(shared, tensor), tensor):
                    unequal.append(key)
    return unequal


def _derived_buffers(tower: TextTower, length: int) -> State:
    """What the published layout keeps beside the context vectors: the tokens around them."""
    ids = tokenize(tower, [" ".join(["X"] * length) + "."])  # placeholders where the vectors go
    embedded = tower.token_embedding(ids).detach().cpu()  # (1, context length, W)
    parts = {
        "token_prefix": embedded[None, :, :1],
        "token_suffix": embedded[None, :, 1 + length :],
        "tokenized_prompts": ids[None].int().cpu(),
    }
    return {f"{name}_{kind}": tensor.clone() for name, tensor in parts.items() for kind in ("pos", "neg")}
