# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tokens to outputs: the three adapters of the paper, and the cosines they rest on."""

from .output import AdapterOutput
from .prompt_query import PromptQueryAdapter
from .residual_mlp import ResidualMLP
from .similarity import Alignment, align, compare_with_text, normalized_patches, text_logits
from .textual import TextualAdapter
from .visual import VisualAdapter

__all__ = [
    "AdapterOutput",
    "Alignment",
    "PromptQueryAdapter",
    "ResidualMLP",
    "TextualAdapter",
    "VisualAdapter",
    "align",
    "compare_with_text",
    "normalized_patches",
    "text_logits",
]
