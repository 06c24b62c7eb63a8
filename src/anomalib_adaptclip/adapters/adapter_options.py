# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Which adapters a model has, and how they are built."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

from anomalib_adaptclip.choices import require_choice

from .prompt_query import PromptQueryAdapter
from .textual import TextualAdapter
from .visual import VisualAdapter

AdapterName = Literal["visual", "textual", "prompt_query"]
ADAPTERS: tuple[AdapterName, ...] = get_args(AdapterName)
Mode = Literal["alternating", "joint"]


@dataclass(frozen=True)
class AdapterOptions:
    """Which adapters a model has, and their sizes.

    Attributes:
        adapters: Names of the adapters. The rows of the paper's Table 5 are subsets.
        context: Whether the prompt-query adapter sees the query itself, not only the aligned residual.
        topk: Largest positions that the image head of the prompt-query adapter pools; the paper's eq. 8 has 1.
        mode: ``"alternating"``: the visual adapter sees the static texts, the textual one tokens as CLIP has them.
            ``"joint"`` (Table 5, line 3): both see adapted tokens and learned texts. To be used as it was trained.
        prompt_length: Context vectors of each learned text prompt.
        reduction: Bottleneck of the residual MLPs of the visual adapter.
        hidden_dim: Features in the heads of the prompt-query adapter.

    Raises:
        ValueError: If a name is unknown, a number is not positive, or joint learning lacks one of its two adapters.
    """

    adapters: tuple[AdapterName, ...] = ADAPTERS
    context: bool = True
    topk: int = 10
    mode: Mode = "alternating"
    prompt_length: int = 12
    reduction: int = 4
    hidden_dim: int = 128

    def __post_init__(self) -> None:
        """Check names and numbers."""
        require_adapters(self.adapters)
        require_choice("mode", self.mode, Mode)
        for name in ("topk", "prompt_length", "reduction", "hidden_dim"):
            if (value := getattr(self, name)) < 1:
                msg = f"{name} must be at least 1; got {value}."
                raise ValueError(msg)
        if self.mode == "joint" and not {"visual", "textual"} <= {*self.adapters}:
            msg = (
                f"Joint learning needs the visual and the textual adapter; got {list(self.adapters)}. Add them, or "
                "alternate."
            )
            raise ValueError(msg)

    def build(self, width: int, text_width: int, num_layers: int) -> nn.ModuleDict:
        """Build the adapters, untrained.

        Args:
            width: Width D of the joint embedding space.
            text_width: Width of the text tower.
            num_layers: Number of CLIP's layers whose tokens are used.

        Returns:
            The adapters by name.
        """
        adapters = nn.ModuleDict()
        if "visual" in self.adapters:
            adapters["visual"] = VisualAdapter(width, self.reduction)
        if "textual" in self.adapters:
            adapters["textual"] = TextualAdapter(self.prompt_length, text_width)
        if "prompt_query" in self.adapters:
            adapters["prompt_query"] = PromptQueryAdapter(
                width, num_layers, self.hidden_dim, context=self.context, topk=self.topk
            )
        return adapters


def require_adapters(names: Sequence[str]) -> None:
    """Check names of adapters.

    Raises:
        ValueError: If a name is unknown; the known ones are listed.
    """
    if unknown := [name for name in names if name not in ADAPTERS]:
        msg = f"Unknown adapters {unknown}; the adapters are {list(ADAPTERS)}."
        raise ValueError(msg)
