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
from safetensors.torch import save_file
from torch import nn

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.clip import ClipIdentity
from anomalib_adaptclip.files.atomic import write_atomically
from anomalib_adaptclip.files.tensors import State, read_safetensors, sha256_of

from .adapter_header import AdapterHeader
from .adapter_options import AdapterOptions
from .published_download import PUBLISHED_ADAPTERS
from .published_layout import SECTIONS, from_published, read_published, to_published, unequal_heads

ADAPTER_FILE = "adapters.safetensors"

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
        """Which adapters the file holds."""
        return tuple(dict.fromkeys(key.split(".")[0] for key in self.renamed()))

    def renamed(self) -> State:
        """Tensors under the names of ``AdaptCLIPModel.adapters``."""
        return from_published(self.state) if self.published else self.state

    def applied_to(self, options: Options) -> Options:
        """Options of a model that takes these adapters.

        The sizes are those of the tensors, and what the header says goes before the options: the weights make sense
        with those alone. Adapters that the file lacks are left out.

        Args:
            options: What the model should have besides.
        """
        header = self.header
        told: dict[str, Any] = {"context": header.context, "topk": header.topk, "mode": header.mode, **self._sizes()}
        known = {name: value for name, value in told.items() if value is not None}
        return replace(options, adapters=tuple(name for name in options.adapters if name in self.adapters), **known)

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
        ValueError: If the file is truncated, holds pickled code, or is no adapter file.
    """
    require_types(read_adapter_file, locals())
    path = Path(path)
    if not path.is_file():
        msg = f"There is no adapter file {path}. Give the path of one, or a name out of {[*PUBLISHED_ADAPTERS]}."
        raise FileNotFoundError(msg)
    sha256 = sha256_of(path)
    if path.suffix != ".safetensors":
        return AdapterFile(path, sha256, read_published(path), published=True, header=AdapterHeader())
    state, metadata = read_safetensors(path)
    try:
        header = AdapterHeader.from_metadata(metadata)
    except ValueError as error:
        msg = f"{path} cannot be used: {error}. Get it again, or train the adapters anew."
        raise ValueError(msg) from error
    return AdapterFile(path, sha256, state, published=False, header=header)


def load_adapter_file(file: AdapterFile, adapters: nn.ModuleDict) -> None:
    """Copy weights into adapters. Strict: nothing may be missing, be left over or have another shape.

    Args:
        file: What was read. Adapters that the model does not have are passed over.
        adapters: ``AdaptCLIPModel.adapters``.

    Raises:
        ValueError: With every key at fault.
    """
    expected = adapters.state_dict()
    if file.published:
        expected = to_published(expected)
    absent = [name for pair in SECTIONS.items() for name in pair if pair[0] not in adapters]
    state = {key: tensor for key, tensor in file.state.items() if key.split(".")[0] not in absent}
    if problems := _differences(expected, state):
        msg = (
            f"The adapters in {file.path} do not fit this model ({len(problems)} keys). They belong to another "
            "backbone or were made with other sizes, or the file is damaged:\n  " + "\n  ".join(problems)
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
    write_atomically(path, lambda draft: save_file(state, draft, header.to_metadata()))


def _differences(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> list[str]:
    problems = [f"missing: {key} {tuple(expected[key].shape)}" for key in expected if key not in found]
    problems += [f"unexpected: {key}" for key in found if key not in expected]
    problems += [
        f"shape: {key} is {tuple(found[key].shape)}, expected {tuple(expected[key].shape)}"
        for key in expected
        if key in found and expected[key].shape != found[key].shape
    ]
    return problems + [f"differs between layers: {key}" for key in unequal_heads(found)]
