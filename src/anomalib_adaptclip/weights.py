# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Adapter weights: the published files, our own, and what is wrong with a file that does not fit.

Inside, tensors have the names of ``AdaptCLIPModel.adapters.state_dict()``. Our safetensors files use them as they are.
The published files are a dict of three state dicts in another layout, which :func:`to_published` and
:func:`from_published` translate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import hf_hub_download
from torch import nn

from .weight_files import State, read_safetensors, read_torch_file, sha256_of

PUBLISHED_REPOSITORY = "csgaobb/AdaptCLIP"


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
    def sizes(self) -> dict[str, int]:
        """Arguments of ``AdaptCLIPModel`` that the shapes tell: prompt length, reduction, features in the heads."""
        state = self.renamed()
        sizes = {}
        if "textual.contexts" in state:
            sizes["prompt_length"] = state["textual.contexts"].shape[1]
        if "visual.local_mlp.layers.0.weight" in state:
            bottleneck, width = state["visual.local_mlp.layers.0.weight"].shape
            sizes["reduction"] = width // bottleneck
        if "prompt_query.segmentation_head.0.weight" in state:
            sizes["hidden_dim"] = state["prompt_query.segmentation_head.0.weight"].shape[0]
        return sizes

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


# Ours, published. The misspelling is theirs. In the heads every tap repeats the same tensors.
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
    num_taps = len({key.split(".")[2] for key in state if key.startswith("prompt_query.norms.")})
    published: State = {}
    for key, tensor in state.items():
        if key == "textual.contexts":
            published |= dict(zip(_CONTEXTS, tensor[:, None, None], strict=True))  # (1, 1, r, W) each
        for ours, theirs in _PREFIXES.items():
            if key.startswith(ours):
                published[theirs + key.removeprefix(ours)] = tensor
        for ours, theirs in _HEADS.items():
            if key.startswith(ours):
                published |= {f"{theirs}{tap}.{key.removeprefix(ours)}": tensor for tap in range(num_taps)}
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
    return problems + [f"differs between taps: {key}" for key in _unequal_heads(found)]


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
