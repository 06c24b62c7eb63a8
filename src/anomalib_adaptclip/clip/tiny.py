# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The `tiny` CLIP that the package ships, for tests and demonstrations."""

from pathlib import Path
from typing import Any

import open_clip

from anomalib_adaptclip.files.tensors import read_safetensors

from .identity import count_rows_only
from .seeding import seeded
from .types import Clip

TINY_FOLDER = Path(__file__).parents[1] / "tiny"
UNTRAINED_WEIGHTS = "seed-0"  # name of the random weights of this seed
SEED = 0

# A few million parameters, half of them in the token embedding.
_TINY_CONFIG: dict[str, Any] = {
    "embed_dim": 128,
    "vision_cfg": {"image_size": 224, "layers": 8, "width": 192, "head_width": 64, "patch_size": 14},
    "text_cfg": {"width": 64, "heads": 2, "layers": 2},
}


def build_tiny() -> Clip:
    """Build the small CLIP for tests and demonstrations, untrained, always with the same weights."""
    with seeded(SEED):
        return open_clip.CLIP(**_TINY_CONFIG)


def load_tiny(path: Path = TINY_FOLDER / "backbone.safetensors") -> Clip:
    """Build the small CLIP with the trained weights. Words that it was not trained on have those of the seed."""
    clip, state = build_tiny(), read_safetensors(path)[0]
    table = clip.token_embedding.weight.detach().clone()
    rows = state.pop("token_embedding.ids").long()
    table[rows] = state.pop("token_embedding.rows").float()
    clip.load_state_dict(state | {"token_embedding.weight": table})
    count_rows_only(clip, rows)
    return clip
