# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Adapter weights: the published files, our own, and what is wrong with a file that does not fit.

Inside, tensors have the names of ``AdaptCLIPModel.adapters.state_dict()``. Our safetensors files use them as they are.
The published files are a dict of three state dicts in another layout, which :func:`to_published` and
:func:`from_published` translate.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import save_file
from torch import nn

from anomalib_adaptclip.clip import TextTower
from anomalib_adaptclip.clip.text_encoder import tokenize
from anomalib_adaptclip.files.atomic import write_atomically
from anomalib_adaptclip.files.tensors import State, read_safetensors, read_torch_file, sha256_of

PUBLISHED_REPOSITORY = "csgaobb/AdaptCLIP"
ADAPTER_FILE = "adapters.safetensors"
HEADER_OPTIONS = ("context", "topk", "mode")  # arguments of the model that no shape tells


@dataclass(frozen=True)
class PublishedAdapters:
    """Adapters for ViT-L-14-336 with OpenAI's weights, as released with the paper.

    Attributes:
        filename: File in the Hugging Face repository ``csgaobb/AdaptCLIP``.
        base: anomalib's data module of the data set that they were trained on.
    """

    filename: str
    base: str


PUBLISHED_ADAPTERS = {
    name: PublishedAdapters(
        f"adaptclip_checkpoints/12_4_128_train_on_{name}_3adapters_batch8/epoch_15.pth",
        base,
    )
    for name, base in (("mvtec", "MVTecAD"), ("visa", "Visa"))
}


@dataclass(frozen=True)
class AdapterFile:
    """Adapter weights read from a file.

    Attributes:
        path: Where they came from.
        sha256: Hash of the file, in hexadecimal.
        state: Tensors, under the names of the file's layout.
        published: Whether that is the published layout.
        metadata: Header of a safetensors file, such as the base data set.
    """

    path: Path
    sha256: str
    state: State
    published: bool
    metadata: Mapping[str, str]

    @property
    def adapters(self) -> tuple[str, ...]:
        """Which adapters the file holds."""
        return tuple(dict.fromkeys(key.split(".")[0] for key in self.renamed()))

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of ``AdaptCLIPModel`` that the adapters were trained with: out of the header, and of the shapes."""
        state = self.renamed()
        header = json.loads(self.metadata.get("options", "{}"))
        options = {key: header[key] for key in HEADER_OPTIONS if key in header}
        if "textual.contexts" in state:
            options["prompt_length"] = state["textual.contexts"].shape[1]
        if "visual.local_mlp.layers.0.weight" in state:
            bottleneck, width = state["visual.local_mlp.layers.0.weight"].shape
            options["reduction"] = width // bottleneck
        if "prompt_query.segmentation_head.0.weight" in state:
            options["hidden_dim"] = state["prompt_query.segmentation_head.0.weight"].shape[0]
        return options

    def renamed(self) -> State:
        """Tensors under the names of ``AdaptCLIPModel.adapters``."""
        return from_published(self.state) if self.published else self.state


def read_adapter_file(path: str | Path) -> AdapterFile:
    """Read adapters without running anything that the file may hold.

    Args:
        path: A ``.safetensors`` file of ours, or any file in the published layout.

    Returns:
        Its tensors and hash.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is truncated, holds pickled code, or is no adapter file.
    """
    path = Path(path)
    if not path.is_file():
        msg = f"There is no adapter file {path}. Give the path of one, or a name out of {[*PUBLISHED_ADAPTERS]}."
        raise FileNotFoundError(msg)
    sha256 = sha256_of(path)
    if path.suffix == ".safetensors":
        state, metadata = read_safetensors(path)
        return AdapterFile(path, sha256, state, published=False, metadata=metadata)
    return AdapterFile(path, sha256, _read_published(path), published=True, metadata={})


def load_adapter_file(file: AdapterFile, adapters: nn.ModuleDict) -> None:
    """Copy weights into adapters. Strict: nothing may lack, be left over or have another shape.

    Args:
        file: What was read. Adapters that the model does not have are passed over.
        adapters: ``AdaptCLIPModel.adapters``.

    Raises:
        ValueError: With every key at fault.
    """
    expected = adapters.state_dict()
    if file.published:
        expected = to_published(expected)
    absent = [name for pair in _SECTIONS.items() for name in pair if pair[0] not in adapters]
    state = {key: tensor for key, tensor in file.state.items() if key.split(".")[0] not in absent}
    problems = _differences(expected, state)
    if problems:
        msg = (
            f"The adapters in {file.path} do not fit this model ({len(problems)} keys). They belong to another "
            "backbone or were made with other sizes, or the file is damaged:\n  " + "\n  ".join(problems)
        )
        raise ValueError(msg)
    adapters.load_state_dict(from_published(state) if file.published else state)


def write_adapter_file(path: Path, adapters: nn.ModuleDict, metadata: Mapping[str, str]) -> None:
    """Save adapters as a safetensors file, all at once or not at all.

    Args:
        path: File to make or replace.
        adapters: ``AdaptCLIPModel.adapters``.
        metadata: Header.
    """
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in adapters.state_dict().items()}
    write_atomically(path, lambda draft: save_file(state, draft, dict(metadata)))


def export_published(path: Path, adapters: nn.ModuleDict, tower: TextTower) -> None:
    """Save adapters in the published layout, so that other implementations can read what was trained here.

    Args:
        path: File to make or replace, a ``.pth``.
        adapters: ``AdaptCLIPModel.adapters``, all three.
        tower: Text tower, for the buffers that are derived from the context vectors.

    Raises:
        ValueError: If an adapter is missing: the layout has none without.
    """
    missing = [name for name in _SECTIONS if name not in adapters]
    if missing:
        msg = f"The published layout holds all three adapters; {missing} are missing. Keep the safetensors file."
        raise ValueError(msg)
    sections: dict[str, State] = {section: {} for section in _SECTIONS.values()}
    for key, tensor in to_published(adapters.state_dict()).items():
        section, name = key.split(".", 1)
        sections[section][name] = tensor.detach().cpu().clone()
    sections[_SECTIONS["textual"]] |= _derived_buffers(tower, len(sections[_SECTIONS["textual"]]["ctx_pos"][0, 0]))
    write_atomically(path, lambda draft: torch.save(sections, draft))


def require_same_clip(file: AdapterFile, fingerprint: str) -> None:
    """Check that adapters belong to a CLIP, if their header tells to which.

    Args:
        file: Adapters.
        fingerprint: Of the CLIP.

    Raises:
        ValueError: If they belong to another.
    """
    if file.metadata.get("fingerprint", fingerprint) != fingerprint:
        msg = (
            f"The adapters in {file.path} were trained with the backbone {file.metadata.get('backbone')} and weights "
            f"{file.metadata.get('weights')}, and this is another CLIP. Choose those, or adapters trained for this one."
        )
        raise ValueError(msg)


def fetch_published(name: str, revision: str | None = None) -> Path:
    """Path of published adapters, downloaded from Hugging Face unless they are in its cache.

    Args:
        name: ``"mvtec"`` or ``"visa"``, the base data set.
        revision: Branch, tag or commit of the repository. The newest by default.

    Returns:
        The cached file.

    Raises:
        ConnectionError: If it is not in the cache and cannot be downloaded.
    """
    filename = PUBLISHED_ADAPTERS[name].filename
    try:
        return Path(hf_hub_download(PUBLISHED_REPOSITORY, filename, revision=revision))
    except Exception as error:  # the hub raises errors of its own, of requests, and of the file system
        msg = (
            f"Could not get {filename} from the Hugging Face repository {PUBLISHED_REPOSITORY} "
            f"(revision {revision or 'newest'}): {error}\nDownload that file from there on a machine with access and "
            "pass its path: --model.adapters PATH, or AdaptCLIP(adapters=PATH)."
        )
        raise ConnectionError(msg) from error


# Ours, published. The misspelling is theirs. In the heads every layer repeats the same tensors.
_SECTIONS = {"textual": "textual_learner", "visual": "visual_learner", "prompt_query": "pq_learner"}
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
                state[ours + key.removeprefix(theirs).split(".", 1)[1]] = tensor
    if all(key in published for key in _CONTEXTS):
        state["textual.contexts"] = torch.cat([published[key][0] for key in _CONTEXTS])
    return state


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


def _read_published(path: Path) -> State:
    sections = read_torch_file(path)
    if not _is_state_dicts(sections):
        msg = f"{path} is no adapter file: expected a dict of the state dicts {[*_SECTIONS.values()]}."
        raise ValueError(msg)
    flat = {f"{section}.{key}": tensor for section, keys in sections.items() for key, tensor in keys.items()}
    return {key: tensor for key, tensor in flat.items() if not key.split(".", 1)[1].startswith(_DERIVED)}


def _is_state_dicts(content: object) -> bool:
    return isinstance(content, dict) and all(
        isinstance(section, dict) and all(isinstance(tensor, torch.Tensor) for tensor in section.values())
        for section in content.values()
    )


def _differences(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> list[str]:
    problems = [f"missing: {key} {tuple(expected[key].shape)}" for key in expected if key not in found]
    problems += [f"unexpected: {key}" for key in found if key not in expected]
    problems += [
        f"shape: {key} is {tuple(found[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in found and expected[key].shape != found[key].shape
    ]
    return problems + [f"differs between layers: {key}" for key in _unequal_heads(found)]


def _unequal_heads(published: Mapping[str, torch.Tensor]) -> list[str]:
    first: State = {}
    unequal = []
    for key, tensor in published.items():
        for theirs in _HEADS.values():
            if key.startswith(theirs):
                shared = theirs + key.removeprefix(theirs).split(".", 1)[1]
                if not torch.equal(first.setdefault(shared, tensor), tensor):
                    unequal.append(key)
    return unequal
