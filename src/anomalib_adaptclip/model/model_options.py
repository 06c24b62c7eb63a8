# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The options of a model that its checkpoint and its adapters decide."""

from dataclasses import dataclass

from anomalib_adaptclip.adapters import AdapterOptions
from anomalib_adaptclip.choices import require_choice

from .fusion import Fusion


@dataclass(frozen=True)
class ModelOptions(AdapterOptions):
    """Options of :class:`AdaptCLIPModel` that change what it computes.

    Attributes:
        class_name: What the images show, for the static texts.
        fusion: How outputs of the adapters become one score and one map, see :func:`.fuse`.

    Raises:
        ValueError: If a name is unknown; the known ones are listed.
    """

    class_name: str = "object"
    fusion: Fusion = "published"

    def __post_init__(self) -> None:
        """Check the names."""
        super().__post_init__()
        require_choice("fusion", self.fusion, Fusion)


def resolve_fusion(fusion: Fusion | None, backbone: str) -> Fusion:
    """The fusion to use: the given one, or the published one, and for `tiny` what was measured to be better."""
    if fusion is not None:
        return fusion
    return "log_odds" if backbone == "tiny" else "published"
