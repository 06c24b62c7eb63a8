# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Text embeddings of a frozen CLIP: averaged prompt ensembles, and learned contexts.

A ``tower`` is the CLIP itself, or its ``text`` where that is a module of its own. Attention is causal and the feature
is read at the end token, so everything behind that token is left out.

Letters: N prompts, r learnable context vectors, W text width, D joint embedding width.
"""

from collections.abc import Sequence

import open_clip
import torch
from anomalib.models.image.winclip.prompting import create_prompt_ensemble

from .transformer import run_block
from .types import TextTower


def static_text_pair(tower: TextTower, class_name: str) -> torch.Tensor:
    """Normal and abnormal embedding of an object, averaged over anomalib's ensemble of states and templates.

    The embeddings are averaged as they are, not normalised first.

    Args:
        tower: Text tower.
        class_name: What the images show, such as ``"object"``.

    Returns:
        ``(2, D)``, normal first.
    """
    return torch.stack([encode_prompts(tower, prompts).mean(dim=0) for prompts in create_prompt_ensemble(class_name)])


def encode_prompts(tower: TextTower, prompts: Sequence[str]) -> torch.Tensor:
    """Embed N prompts: ``(N, D)``, not normalised."""
    ids = tokenize(tower, prompts)
    ends = ids.argmax(dim=-1)  # the end token has the largest id
    return _encode(tower, tower.token_embedding(ids[:, : int(ends.max()) + 1]), ends)


def encode_contexts(tower: TextTower, contexts: torch.Tensor) -> torch.Tensor:
    """Embed learned prompts: start token, the context vectors, ".", end token. No template words.

    Args:
        tower: Text tower.
        contexts: ``(N, r, W)``.

    Returns:
        ``(N, D)``, not normalised.
    """
    frame = tower.token_embedding(tokenize(tower, ["."])[:, :3]).expand(len(contexts), -1, -1)  # start, ".", end
    embeddings = torch.cat([frame[:, :1], contexts.to(frame.dtype), frame[:, 1:]], dim=1)  # (N, 1 + r + 2, W)
    ends = torch.full((len(contexts),), embeddings.shape[1] - 1, device=embeddings.device)
    return _encode(tower, embeddings, ends)


def require_context_length(tower: TextTower, length: int) -> None:
    """Check that a text tower has positions for learned prompts.

    Args:
        tower: Text tower.
        length: Context vectors r of each prompt.

    Raises:
        ValueError: If they are too many; what is possible is told.
    """
    most = tower.positional_embedding.shape[0] - 3  # start, ".", end
    if length > most:
        msg = f"prompt_length must be at most {most} for this text tower; got {length}."
        raise ValueError(msg)


def tokenize(tower: TextTower, prompts: Sequence[str]) -> torch.Tensor:
    """Token ids ``(N, context_length)`` on the tower's device."""
    positions = tower.positional_embedding
    ids: torch.Tensor = open_clip.tokenize(list(prompts), context_length=positions.shape[0])
    return ids.to(positions.device)


def _encode(tower: TextTower, embeddings: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    x = embeddings + tower.positional_embedding[: embeddings.shape[1]]  # (N, tokens, W)
    for block in tower.transformer.resblocks:
        x = run_block(block, x, causal=True)
    x = x[torch.arange(len(x), device=x.device), ends]  # (N, W)
    features: torch.Tensor = tower.ln_final(x) @ tower.text_projection
    return features
