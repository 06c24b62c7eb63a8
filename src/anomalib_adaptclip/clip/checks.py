# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a CLIP must look like for its tokens to be read."""

from collections.abc import Iterable, Sequence

import torch
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import nn

from .types import Block, Clip, ImageTower, TextTower


def require_standard_clip(clip: Clip) -> None:
    """Check that both towers are CLIP's standard transformers.

    Args:
        clip: Model to check.

    Raises:
        TypeError: If the image tower is no standard ViT (a ResNet, a timm tower, an attention pooler), or the text
            tower no causal transformer.
    """
    problem = _image_tower_problem(getattr(clip, "visual", None)) or _text_tower_problem(getattr(clip, "text", clip))
    if problem:
        msg = (
            f"AdaptCLIP needs an open_clip CLIP with a standard ViT and CLIP's own text tower, but {problem}. Use a "
            "backbone such as ViT-L-14-336, ViT-B-16-plus-240 or tiny."
        )
        raise TypeError(msg)


def require_blocks(num_blocks: int, layers: Sequence[int], first_vv_block: int) -> None:
    """Check that tapped and V-V blocks exist.

    Args:
        num_blocks: Depth of the image tower.
        layers: Tapped blocks, counted from 1.
        first_vv_block: First V-V block, counted from 1.

    Raises:
        ValueError: If a block is outside ``1..num_blocks``, or the layers are not strictly ascending.
    """
    if not layers or list(layers) != sorted(set(layers)) or not 1 <= layers[0] <= layers[-1] <= num_blocks:
        msg = f"layers must be ascending block numbers from 1 to {num_blocks}, each once; got {tuple(layers)}."
        raise ValueError(msg)
    if not 1 <= first_vv_block <= num_blocks:
        msg = f"first_vv_block must be a block number from 1 to {num_blocks}; got {first_vv_block}."
        raise ValueError(msg)


def require_image_size(image_size: int | tuple[int, int], patch_size: int) -> tuple[int, int]:
    """Check that an input size is made of whole patches.

    Args:
        image_size: Side, or height and width, in pixels.
        patch_size: Side of a patch in pixels.

    Returns:
        Height and width.

    Raises:
        ValueError: If one of them is no multiple of the patch.
    """
    sides = image_size if isinstance(image_size, Sequence) else (image_size, image_size)
    height, width = map(int, sides)  # NumPy's numbers too
    if min(height, width) < patch_size or height % patch_size or width % patch_size:
        below = "x".join(str(max(side // patch_size, 1) * patch_size) for side in (height, width))
        msg = (
            f"The image size must be a multiple of the backbone's patch, {patch_size} pixels; got {height}x{width}. "
            f"Take {below}, for instance."
        )
        raise ValueError(msg)
    return height, width


def _image_tower_problem(visual: ImageTower) -> str | None:
    if not isinstance(visual, VisionTransformer):
        return f"the image tower is a {type(visual).__name__}"
    if visual.attn_pool is not None or visual.pool_type != "tok" or visual.proj is None:
        return "its ViT does not end in a projected class token"
    return _blocks_problem(visual.transformer.resblocks)


def _text_tower_problem(tower: TextTower) -> str | None:
    if not hasattr(tower, "token_embedding") or not isinstance(tower.text_projection, nn.Parameter):
        return f"the text tower is a {type(tower).__name__}"
    pool_type = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    if pool_type != "argmax" or tower.attn_mask is None or getattr(tower, "cls_emb", None) is not None:
        return "the text tower does not read its feature at the end token"
    return _blocks_problem(tower.transformer.resblocks)


def _blocks_problem(blocks: Iterable[Block]) -> str | None:
    for block in blocks:
        if type(block) is not ResidualAttentionBlock or getattr(block.attn, "in_proj_weight", None) is None:
            return f"its blocks are {type(block).__name__} with {type(block.attn).__name__}"
    return None


def require_whole_patches(images: torch.Tensor, patch_size: tuple[int, int]) -> None:
    """Check a batch of images.

    Args:
        images: ``(B, 3, H, W)``.
        patch_size: Height and width of a patch in pixels.

    Raises:
        ValueError: If the shape is another, or H or W no multiple of the patch.
    """
    (patch_height, patch_width), shape = patch_size, tuple(getattr(images, "shape", ()))
    if len(shape) != 4 or shape[1] != 3 or shape[2] % patch_height or shape[3] % patch_width:
        found = shape or type(images).__name__
        msg = (
            f"Images must be (B, 3, H, W) with H and W multiples of the patch, {patch_height}x{patch_width} pixels; "
            f"got {found}. Resize them, with the pre-processor for instance."
        )
        raise ValueError(msg)
