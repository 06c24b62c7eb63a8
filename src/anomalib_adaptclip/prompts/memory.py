# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The few-shot memory: tokens of normal images.

Letters: B batch, K normal prompt images (shots), S layers, L patches of an image, N patches of all of them,
D joint embedding width.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import nn

from anomalib_adaptclip.adapters import Alignment, Window, align, normalized_patches
from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.clip import ImageTokens

from .coreset import require_budget, select_coreset

Precision = Literal["float32", "float16"]


class PromptMemory(nn.Module):
    """Hold the normal tokens in one buffer ``(S, K, L, D)``, so that they travel with checkpoints and devices.

    An empty memory has K = 0. Loading a state takes over its number of shots and its precision.

    Args:
        precision: ``"float16"`` halves the memory of the tokens; they are compared at the precision of the queries.
        budget: Patches to keep at most, of all images together, those that represent the others best. Then L is the
            budget over K, and a row is no image any more. All by default.

    Raises:
        ValueError: If an argument is out of range.
    """

    tokens: torch.Tensor

    def __init__(self, precision: Precision = "float32", budget: int | None = None) -> None:
        super().__init__()
        require_types(PromptMemory.__init__, locals())
        require_memory(precision, budget)
        self.precision = precision
        self.budget = budget
        self.register_buffer("tokens", torch.empty(0, 0, 0, 0))

    @property
    def k_shot(self) -> int:
        """Number of normal images in memory."""
        return self.tokens.shape[1]

    def require_no_options(self) -> None:
        """Check, where there are no normal images, that nothing was said of how to keep them.

        Raises:
            ValueError: If something was.
        """
        if self.precision != "float32" or self.budget is not None:
            msg = (
                f"prompt_precision={self.precision!r} and prompt_budget={self.budget} are for normal images, and the "
                "model has none: it is zero-shot. Leave them out, or give normal images, by k_shot for instance."
            )
            raise ValueError(msg)

    def pack(self, tokens: ImageTokens) -> torch.Tensor:
        """Bring tokens of K images into the memory's form ``(S, K, L, D)``.

        Of images in tiles L counts the patches of all tiles, tile by tile; of a region of interest those inside alone.
        """
        packed = torch.stack([normalized_patches(layer) for layer in tokens.layers])
        packed = torch.unflatten(packed, 1, (-1, tokens.tiles)).flatten(2, 3)
        return self.rounded(packed if tokens.kept is None else packed[:, :, tokens.kept.flatten()])

    def reduce(self, tokens: torch.Tensor) -> torch.Tensor:
        """Bring packed tokens ``(S, K, L, D)`` within precision and budget; those in half precision stay so."""
        return select_coreset(self.rounded(tokens).flatten(1, 2), tokens.shape[1], self.budget)

    def rounded(self, tokens: torch.Tensor) -> torch.Tensor:
        """Round tokens to the memory's precision; those in half precision stay so."""
        return tokens.half() if self.precision == "float16" else tokens

    @torch.inference_mode(mode=False)  # what is kept must not be an inference tensor
    @torch.no_grad()
    def store(self, tokens: torch.Tensor) -> None:
        """Remember packed tokens ``(S, K, L, D)``, within the budget; what was there is forgotten."""
        self.tokens = self.reduce(tokens)

    def clear(self) -> None:
        """Forget all prompts."""
        self.tokens = self.tokens.new_empty(0, 0, 0, 0)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:  # noqa: ANN401
        stored = state_dict.get(f"{prefix}tokens")
        if stored is not None:
            self.tokens = torch.empty_like(stored, device=self.tokens.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


def align_layers(layers: Sequence[torch.Tensor], tokens: torch.Tensor, window: Window | None = None) -> list[Alignment]:
    """Align query tokens with prompts.

    Args:
        layers: Tokens ``(B, 1 + L, D)``, one tensor a layer.
        tokens: Packed prompts ``(S, K, L, D)``.
        window: Where the nearest patches are searched; everywhere by default.

    Returns:
        One alignment for each layer.
    """
    return [
        align(normalized_patches(layer), prompt.flatten(0, 1), window=window)
        for layer, prompt in zip(layers, tokens, strict=True)
    ]


def require_memory(precision: str, budget: int | None, shots: int = 0) -> None:
    """Check the options of a memory.

    Args:
        precision: Precision of the tokens.
        budget: Patches to keep at most, ``None`` for all.
        shots: Images to remember, where known.

    Raises:
        ValueError: If an option is out of range.
    """
    require_choice("prompt_precision", precision, Precision)
    if budget is not None:
        require_budget(budget, shots)
