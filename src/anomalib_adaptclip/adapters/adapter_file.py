# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Files of adapter weights: read, checked against a model, and written.

Tensors have the names of ``AdaptCLIPModel.adapters.state_dict()`` in our safetensors files. The published files have
another layout, which :mod:`~anomalib_adaptclip.adapters.published_layout` translates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.clip import ClipIdentity
from anomalib_adaptclip.files.tensors import State, differences, read_safetensors, sha256_of, write_safetensors

from .adapter_header import AdapterHeader
from .adapter_options import AdapterOptions
from .published_download import PUBLISHED_ADAPTERS
from .published_layout import SECTIONS, from_published, read_published, to_published, unequal_heads

ADAPTER_FILE = "adapters.safetensors"
_DIMENSIONS = {  # of the tensors that tell sizes
    "textual.contexts": 3,
    "visual.local_mlp.layers.0.weight": 2,
    "prompt_query.segmentation_head.0.weight": 4,
    "textual_learner.ctx_pos": 4,
    "textual_learner.ctx_neg": 4,
    "visual_learner.local_adater.fc.0.weight": 2,
    "pq_learner.local_adapter.0.0.weight": 4,
}

_SHOWN = 5  # keys in a message

Options = TypeVar("Options", bound=AdapterOptions)


@dataclass(frozen=True)
class AdapterFile:
    """Adapter weights read from a file.

    Attributes:
        path: Where they came from.
        sha256: Hash of the file, in hexadecimal.
        state: Tensors, under the names of the file's layout.
        published: Whether that is the published layout.
        header: What the file says of itself. A published file says nothing.
    """

    path: Path
    sha256: str
    state: State
    published: bool
    header: AdapterHeader

    @property
    def adapters(self) -> tuple[str, ...]:
        """Which adapters the file holds, or holds parts of."""
        ours = {theirs: name for name, theirs in SECTIONS.items()} if self.published else {}
        sections = dict.fromkeys(key.split(".")[0] for key in self.state)
        return tuple(ours.get(section, section) for section in sections)

    def renamed(self) -> State:
        """Tensors under the names of ``AdaptCLIPModel.adapters``."""
        return from_published(self.state) if self.published else self.state

    def applied_to(self, options: Options) -> Options:
        """Options of a model that takes these adapters.

        The sizes are those of the tensors, and what the header says goes before the options: the weights make sense
        with those alone. Adapters that the file lacks are left out.

        Args:
            options: What the model should have besides.

        Raises:
            ValueError: If the file has none of the adapters, or an entry of its header is out of range.
        """
        header = self.header
        told: dict[str, Any] = {"context": header.context, "topk": header.topk, "mode": header.mode, **self._sizes()}
        known = {name: value for name, value in told.items() if value is not None}
        names = tuple(name for name in options.adapters if name in self.adapters)
        if options.adapters and not names:
            msg = (
                f"{self.path} holds the adapters {[*self.adapters]}, and none of those asked for, "
                f"{[*options.adapters]}. Ask for others, or give another file."
            )
            raise ValueError(msg)
        try:
            return replace(options, adapters=names, **known)
        except ValueError as error:
            msg = f"{self.path} cannot be used: {error} Get it again, or train the adapters anew."
            raise ValueError(msg) from error

    def _sizes(self) -> dict[str, int]:
        state, sizes = self.renamed(), {}
        if "textual.contexts" in state:
            sizes["prompt_length"] = state["textual.contexts"].shape[1]
        if "visual.local_mlp.layers.0.weight" in state:
            bottleneck, width = state["visual.local_mlp.layers.0.weight"].shape
            sizes["reduction"] = width // bottleneck
        if "prompt_query.segmentation_head.0.weight" in state:
            sizes["hidden_dim"] = state["prompt_query.segmentation_head.0.weight"].shape[0]
        return sizes

    def require_same_clip(self, clip: ClipIdentity) -> None:
        """Check that the adapters belong to a CLIP, if their header tells to which.

        Raises:
            ValueError: If they belong to another.
        """
        if self.header.fingerprint not in {"", clip.fingerprint}:
            msg = (
                f"The adapters in {self.path} were trained with the backbone {self.header.backbone} and weights "
                f"{self.header.weights}, and this is another CLIP. Choose those, or adapters trained for this one."
            )
            raise ValueError(msg)


def read_adapter_file(path: str | Path) -> AdapterFile:
    """Read adapters without running anything that the file may hold.

    Args:
        path: A ``.safetensors`` file of ours, or any file in the published layout.

    Returns:
        Its tensors, hash and header.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is truncated, holds pickled code, numbers that are not finite, or no adapters.
    """
    require_types(read_adapter_file, locals())
    path = Path(path)
    require_adapter_file(path)
    sha256 = sha256_of(path)
    if path.suffix != ".safetensors":
        file = AdapterFile(path, sha256, read_published(path), published=True, header=AdapterHeader())
    else:
        state, metadata = read_safetensors(path)
        try:
            header = AdapterHeader.from_metadata(metadata)
        except ValueError as error:
            msg = f"{path} cannot be used: {error}. Get it again, or train the adapters anew."
            raise ValueError(msg) from error
        file = AdapterFile(path, sha256, state, published=False, header=header)
    _require_adapters(file)
    return file


def require_adapter_file(path: Path) -> None:
    """Check that there is a file.

    Raises:
        FileNotFoundError: If there is none.
    """
    if not path.is_file():
        msg = f"There is no adapter file {path}. Give the path of one, or a name out of {[*PUBLISHED_ADAPTERS]}."
        raise FileNotFoundError(msg)


def _require_adapters(file: AdapterFile) -> None:
    """Check that a file holds adapters, and that their sizes can be told."""
    problem = "" if {*SECTIONS} & {*file.adapters} else f"it holds {[*file.state][:3] or 'no tensors'}"
    for name, dimensions in _DIMENSIONS.items():
        if name in file.state and (file.state[name].ndim != dimensions or 0 in file.state[name].shape):
            shape = tuple(file.state[name].shape)
            problem = f"{name} has the shape {shape}, not one of {dimensions} dimensions that are not 0"
    if problem:
        expected = [*(SECTIONS.values() if file.published else SECTIONS)]
        msg = f"{file.path} is no adapter file: expected tensors of {expected}, but {problem}. Give another file."
        raise ValueError(msg)


def load_adapter_file(file: AdapterFile, adapters: nn.ModuleDict) -> None:
    """Copy weights into adapters. Strict: nothing may be missing, be left over or have another shape.

    Args:
        file: What was read. Adapters that the model does not have are passed over.
        adapters: ``AdaptCLIPModel.adapters``.

    Raises:
        ValueError: With the first keys at fault.
    """
    expected = adapters.state_dict()
    if file.published:
        expected = to_published(expected)
    absent = [name for pair in SECTIONS.items() for name in pair if pair[0] not in adapters]
    state = {key: tensor for key, tensor in file.state.items() if key.split(".")[0] not in absent}
    if problems := [*differences(expected, state), *_unequal(state)]:
        more = f" and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        msg = (
            f"The adapters in {file.path} do not fit this model ({len(problems)} keys). They belong to another "
            f"backbone or were made with other sizes, or the file is damaged: {'; '.join(problems[:_SHOWN])}{more}. "
            "Give another file."
        )
        raise ValueError(msg)
    adapters.load_state_dict(from_published(state) if file.published else state)


def write_adapter_file(path: Path, adapters: nn.ModuleDict, header: AdapterHeader) -> None:
    """Save adapters as a safetensors file, all at once or not at all.

    Args:
        path: File to make or replace.
        adapters: ``AdaptCLIPModel.adapters``.
        header: What they were trained on, and which CLIP they belong to.
    """
    state = {key: tensor.detach().cpu().contiguous() for key, tensor in adapters.state_dict().items()}
    write_safetensors(path, state, header.to_metadata())


def _unequal(state: Mapping[str, torch.Tensor]) -> list[str]:
    return [f"differs between layers: {key}" for key in unequal_heads(state)]
