# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""One block of open_clip's transformer, run by hand and batch first.

open_clip 2.24 and 3.3 name the parts of a block alike but disagree on the order of the token axis in ``forward``.
Reading the packed weights works with both, and gives access to the projections that V-V attention needs.

Letters: B batch, T tokens, W width, N heads, C width of a head.
"""

import torch
from torch.nn.functional import linear, scaled_dot_product_attention

from .types import Block


def split_heads(x: torch.Tensor, num_heads: int) -> torch.Tensor:
    """Bring ``(B, T, W)`` into the form ``(B, N, T, C)`` that attention takes."""
    return x.view(*x.shape[:2], num_heads, -1).transpose(1, 2)  # (B, N, T, C)


def project(block: Block, x: torch.Tensor, names: str) -> tuple[torch.Tensor, ...]:
    """Apply some of a block's query, key and value projections.

    Args:
        block: An open_clip ``ResidualAttentionBlock``.
        x: Normalised tokens ``(B, T, W)``.
        names: A run of ``"qkv"``: ``"q"``, ``"kv"``, ``"v"`` or all.

    Returns:
        One ``(B, T, W)`` tensor for each name.
    """
    width = x.shape[-1]
    start = "qkv".index(names) * width
    rows = slice(start, start + len(names) * width)
    return linear(x, block.attn.in_proj_weight[rows], block.attn.in_proj_bias[rows]).chunk(len(names), dim=-1)


def attend(block: Block, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *, causal: bool = False) -> torch.Tensor:
    """Multi-head attention of a block with given queries, keys and values.

    Args:
        block: An open_clip ``ResidualAttentionBlock``.
        q: Queries ``(B, T, W)``.
        k: Keys ``(B, T', W)``.
        v: Values ``(B, T', W)``.
        causal: Whether a token sees only those before it.

    Returns:
        Tokens ``(B, T, W)`` after the block's output projection, without the residual.
    """
    heads = block.attn.num_heads
    q, k, v = (split_heads(x, heads) for x in (q, k, v))
    out = scaled_dot_product_attention(q, k, v, is_causal=causal)  # (B, N, T, C)
    tokens: torch.Tensor = block.ls_1(block.attn.out_proj(out.transpose(1, 2).flatten(-2)))
    return tokens


def feed_forward(block: Block, x: torch.Tensor) -> torch.Tensor:
    """Second half of a block, residual included: ``(B, T, W)`` to ``(B, T, W)``."""
    change: torch.Tensor = block.ls_2(block.mlp(block.ln_2(x)))
    return x + change


def run_block(block: Block, x: torch.Tensor, *, causal: bool = False) -> torch.Tensor:
    """A whole standard block: ``(B, T, W)`` to ``(B, T, W)``."""
    q, k, v = project(block, block.ln_1(x), "qkv")
    return feed_forward(block, x + attend(block, q, k, v, causal=causal))
