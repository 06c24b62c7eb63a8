# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What tells one CLIP from another: adapters and prompts live in the embedding space of its weights."""

import hashlib
import zlib
from dataclasses import dataclass

import torch

from .types import Clip

_ROWS_THAT_COUNT = "rows_of_the_fingerprint"


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

    Of a token embedding that is drawn in part, the rest counts, see :func:`count_rows_only`.

    Args:
        clip: A CLIP.

    Returns:
        Sixteen hexadecimal digits over all its weights, in float32, and its activation.
    """
    digest = hashlib.sha256(type(clip.visual.transformer.resblocks[0].mlp.gelu).__name__.encode())
    tensors = {name.removeprefix("text."): tensor for name, tensor in clip.named_parameters()}
    for name in sorted(tensors):
        tensor = tensors[name].detach().float().cpu()
        if name == "token_embedding.weight" and hasattr(clip, _ROWS_THAT_COUNT):
            tensor = tensor[getattr(clip, _ROWS_THAT_COUNT)]
        checksum = zlib.crc32(tensor.flatten().numpy())  # three times as fast as SHA-256
        digest.update(f"{name} {tuple(tensor.shape)} {checksum}".encode())
    return digest.hexdigest()[:16]


def count_rows_only(clip: Clip, rows: torch.Tensor) -> None:
    """Let the fingerprint see some rows of the token embedding alone.

    For those that were drawn: torch draws normal numbers whose last bits depend on the processor.

    Args:
        clip: A CLIP.
        rows: Numbers of the rows that count ``(R,)``.
    """
    setattr(clip, _ROWS_THAT_COUNT, rows)
