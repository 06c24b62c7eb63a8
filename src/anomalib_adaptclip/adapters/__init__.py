# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The three adapters of the paper: what each makes of CLIP's tokens, and their files."""

from .adapter_options import ADAPTERS, AdapterName, AdapterOptions, Mode, require_adapters
from .alignment import Alignment, Window, align, align_pairs, normalized_patches
from .output import AdapterOutput
from .prompt_query import PromptQueryAdapter
from .residual_mlp import ResidualMLP
from .text_similarity import compare_with_text, text_logits
from .textual import TextualAdapter
from .visual import VisualAdapter

__all__ = [
    "ADAPTERS",
    "AdapterName",
    "AdapterOptions",
    "AdapterOutput",
    "Alignment",
    "Mode",
    "PromptQueryAdapter",
    "ResidualMLP",
    "TextualAdapter",
    "VisualAdapter",
    "Window",
    "align",
    "align_pairs",
    "compare_with_text",
    "normalized_patches",
    "require_adapters",
    "text_logits",
]
