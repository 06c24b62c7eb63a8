# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Images to tokens and prompts to embeddings: a frozen CLIP, read by hand."""

from .backbones import BACKBONES, CLIP_MEAN, CLIP_STD, TINY_WEIGHTS, Backbone, get_backbone
from .checks import require_blocks, require_image_size, require_standard_clip, require_whole_patches
from .identity import ClipIdentity, fingerprint
from .image_encoder import ImageTokens, encode_image, join_tokens
from .loading import LoadedClip, load_clip
from .seeding import seeded
from .text_encoder import encode_contexts, require_context_length, static_text_pair
from .tiny import TINY_FOLDER
from .types import Clip, ImageTower, TextTower

__all__ = [
    "BACKBONES",
    "CLIP_MEAN",
    "CLIP_STD",
    "TINY_FOLDER",
    "TINY_WEIGHTS",
    "Backbone",
    "Clip",
    "ClipIdentity",
    "ImageTokens",
    "ImageTower",
    "LoadedClip",
    "TextTower",
    "encode_contexts",
    "encode_image",
    "fingerprint",
    "get_backbone",
    "join_tokens",
    "load_clip",
    "require_blocks",
    "require_context_length",
    "require_image_size",
    "require_standard_clip",
    "require_whole_patches",
    "seeded",
    "static_text_pair",
]
