# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Names for open_clip's modules, which have no types of their own."""

from typing import Any, TypeAlias

Clip: TypeAlias = Any
"""``CLIP`` or ``CustomTextCLIP``."""

ImageTower: TypeAlias = Any
"""``VisionTransformer``."""

TextTower: TypeAlias = Any
"""The CLIP itself, or its ``TextTransformer`` where that is a module of its own."""

Block: TypeAlias = Any
"""``ResidualAttentionBlock``."""
