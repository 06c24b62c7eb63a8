# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What tells one CLIP from another: adapters and prompts live in the embedding space of its weights."""

import hashlib
from dataclasses import dataclass

from .types import Clip, TextTower


@dataclass(frozen=True)
class ClipIdentity:
    """Name and hash of a CLIP, as adapter files, checkpoints and prompt banks record them.

    Attributes:
        backbone: Name of the backbone. Empty if unknown.
        weights: open_clip's tag of the weights, or the name of a local file. Empty if unknown.
        fingerprint: Hash of the weights, see :func:`fingerprint`. Empty if unknown.
    """

    backbone: str = ""
    weights: str = ""
    fingerprint: str = ""


def fingerprint(clip: Clip) -> str:
    """Short hash that tells weights apart, wherever they were loaded from.

    Args:
        clip: A CLIP.

    Returns:
        Sixteen hexadecimal digits over its two projections.
    """
    digest = hashlib.sha256()
    text_tower: TextTower = getattr(clip, "text", clip)
    for tensor in (clip.visual.proj, text_tower.text_projection):
        digest.update(tensor.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
