# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The header of an adapter file: what the adapters were trained on, and which CLIP they belong to."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .adapter_options import Mode
from .leakage import Base


@dataclass(frozen=True)
class AdapterHeader:
    """Header of an ``adapters.safetensors`` file. What a file does not say has the default, which means "unknown".

    Attributes:
        backbone: Name of the backbone that the adapters belong to.
        weights: CLIP's weights, as open_clip's tag or the name of a local file.
        fingerprint: Hash of those weights.
        layers: CLIP's layers whose tokens are used, counted from 1.
        image_size: Height and width of the input in pixels.
        class_name: What the images show, in the static texts.
        context: Whether the prompt-query adapter sees the query itself.
        topk: Largest positions that its image head pools.
        mode: How the visual and the textual adapter learned, ``"alternating"`` or ``"joint"``.
        base: Class of the data module that the adapters were trained on.
        base_categories: Its categories that were trained on.
        started_from: What training went on from: the name of adapters, or of their file. Empty if from random ones.
        started_from_sha256: Hash of that file, in hexadecimal.
        earlier_bases: What those were trained on: categories, none for all, by the class of the data module.
        epochs: Epochs of training, without those of the adapters that it went on from.
        versions: Versions of the packages that trained them.
    """

    backbone: str = ""
    weights: str = ""
    fingerprint: str = ""
    layers: tuple[int, ...] = ()
    image_size: tuple[int, int] | None = None
    class_name: str = ""
    context: bool | None = None
    topk: int | None = None
    mode: Mode | None = None
    base: str = ""
    base_categories: tuple[str, ...] = ()
    started_from: str = ""
    started_from_sha256: str = ""
    earlier_bases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    epochs: int | None = None
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str]) -> "AdapterHeader":
        """Read the header out of a safetensors file's metadata. Entries of others are passed over.

        Raises:
            ValueError: If an entry is not what it should be; it is named.
        """
        values: dict[str, Any] = {}
        for name, (kind, expected) in _ENTRIES.items():
            if name in metadata:
                value = _parsed(metadata[name]) if kind is not str else metadata[name]
                if not _is(value, kind) or (name == "image_size" and len(value) != 2):
                    msg = f"the entry {name!r} of its header should be {expected}, and is {metadata[name]!r}"
                    raise ValueError(msg)
                values[name] = _with_tuples(value)
        return cls(**values)

    @property
    def bases(self) -> tuple[Base, ...]:
        """All that the adapters were trained on, as far as it is known."""
        earlier = [Base(name, categories) for name, categories in self.earlier_bases.items()]
        return tuple(([Base(self.base, self.base_categories)] if self.base else []) + earlier)

    def to_metadata(self) -> dict[str, str]:
        """The header as the metadata of a safetensors file, without what is unknown."""
        known = {name: value for name, value in asdict(self).items() if value not in (None, "", (), {})}
        return {name: value if isinstance(value, str) else json.dumps(value) for name, value in known.items()}


_Kind = type | tuple[type, Any]
_ENTRIES: dict[str, tuple[_Kind, str]] = {  # a pair is a container and what it holds
    "backbone": (str, "a name"),
    "weights": (str, "a name"),
    "fingerprint": (str, "a hash"),
    "layers": ((list, int), "a list of numbers"),
    "image_size": ((list, int), "height and width in pixels"),
    "class_name": (str, "a name"),
    "context": (bool, "true or false"),
    "topk": (int, "a number"),
    "mode": (str, "a name"),
    "base": (str, "a name"),
    "base_categories": ((list, str), "a list of names"),
    "started_from": (str, "a name"),
    "started_from_sha256": (str, "a hash"),
    "earlier_bases": ((dict, (list, str)), "lists of categories by data set"),
    "epochs": (int, "a number"),
    "versions": ((dict, str), "versions by package"),
}


def _parsed(text: str) -> Any:  # noqa: ANN401
    try:
        return json.loads(text)
    except ValueError:
        return None


def _is(value: Any, kind: _Kind) -> bool:  # noqa: ANN401
    if not isinstance(kind, tuple):
        return type(value) is kind
    container, part = kind
    parts = value.values() if isinstance(value, dict) else value
    return type(value) is container and all(_is(one, part) for one in parts)


def _with_tuples(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _with_tuples(part) for key, part in value.items()}
    return tuple(value) if isinstance(value, list) else value
