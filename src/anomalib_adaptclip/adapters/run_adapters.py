# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From CLIP's tokens to the outputs of all adapters of a model, and of plain CLIP in their place.

Letters: B batch, L patches, D joint embedding width.
"""

from collections.abc import Sequence

import torch
from torch import nn

from anomalib_adaptclip.clip import ImageTokens

from .alignment import Alignment
from .output import AdapterOutput
from .text_similarity import compare_with_text


def run_adapters(
    adapters: nn.ModuleDict,
    tokens: ImageTokens,
    alignments: Sequence[Alignment],
    static_pair: torch.Tensor,
    learned_pair: torch.Tensor,
    *,
    joint: bool,
    judged: torch.Tensor | None = None,
) -> dict[str, list[AdapterOutput]]:
    """Run the adapters that a model has.

    Args:
        adapters: Adapters by name.
        tokens: Tokens of the queries.
        alignments: Alignments of the queries with their prompts, one for each layer. None for zero-shot.
        static_pair: Embeddings ``(2, D)`` of the static texts, normal first.
        learned_pair: Embeddings ``(2, D)`` of the learned texts, normal first. Not used without the textual adapter.
        joint: Whether visual and textual adapter both see adapted tokens and learned texts.
        judged: Which patches the prompt-query adapter counts ``(B, L)``, all by default.

    Returns:
        For each adapter that is present its outputs: one of the visual and of the textual adapter, one for each layer
        of the prompt-query adapter, which needs alignments.
    """
    outputs: dict[str, list[AdapterOutput]] = {}
    precision = next((parameter.dtype for parameter in adapters.parameters()), torch.float32)  # CLIP may have less
    global_token, last_layer = tokens.global_token.to(precision), tokens.layers[-1].to(precision)
    plain = (global_token, last_layer[:, 1:])
    adapted: tuple[torch.Tensor, torch.Tensor] = plain
    if "visual" in adapters:
        adapted = adapters["visual"](global_token, last_layer)
        outputs["visual"] = [compare_with_text(*adapted, learned_pair if joint else static_pair, tokens.grid)]
    if "textual" in adapters:
        outputs["textual"] = [compare_with_text(*(adapted if joint else plain), learned_pair, tokens.grid)]
    if "prompt_query" in adapters and alignments:
        alignments = [alignment._replace(query=alignment.query.to(precision)) for alignment in alignments]
        outputs["prompt_query"] = adapters["prompt_query"](alignments, tokens.grid, judged)
    return outputs


def plain_clip_output(tokens: ImageTokens, static_pair: torch.Tensor) -> AdapterOutput:
    """What CLIP alone makes of a batch, without any adapter: the paper's Table 5, line 0."""
    return compare_with_text(tokens.global_token, tokens.layers[-1][:, 1:], static_pair, tokens.grid)
