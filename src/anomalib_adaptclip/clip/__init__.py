# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Images to tokens and prompts to embeddings: a frozen CLIP, read by hand."""

from .checks import require_blocks, require_standard_clip
from .image_encoder import ImageTokens, encode_image
from .text_encoder import encode_contexts, static_text_pair

__all__ = [
    "ImageTokens",
    "encode_contexts",
    "encode_image",
    "require_blocks",
    "require_standard_clip",
    "static_text_pair",
]
