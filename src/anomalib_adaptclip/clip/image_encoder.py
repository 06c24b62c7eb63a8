# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Image tokens of a frozen CLIP: the standard stream, and the V-V stream beside it.

Letters: B batch, L patches, T = 1 + L tokens, W width of the tower, D joint embedding width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch

from .positions import resize_positions
from .transformer import attend, feed_forward, project, run_block
from .types import Block, ImageTower


class ImageTokens(NamedTuple):
    """Tokens of a batch of images, in CLIP's joint embedding space and not normalised.

    Attributes:
        global_token: ``(B, D)``, the image as a whole.
        layers: ``(B, T, D)`` for each tapped block, class position first.
        grid: Rows and columns of the patches, ``T = 1 + rows * columns``.
        tiles: Tiles that each image was cut into. Then B counts tiles, and those of an image follow one another.
        region: Which pixels of the images were looked at, ``(H, W)``; None for all.
        kept: Which patches of an image have such pixels, ``(tiles, L)``; None for all.
    """

    global_token: torch.Tensor
    layers: tuple[torch.Tensor, ...]
    grid: tuple[int, int]
    tiles: int = 1
    region: torch.Tensor | None = None
    kept: torch.Tensor | None = None

    def select(self, images: range | Sequence[int]) -> "ImageTokens":
        """Tokens of some images of the batch, by their positions; those of a range are not copied."""
        if isinstance(images, range):
            index: slice | torch.Tensor = slice(images.start * self.tiles, images.stop * self.tiles)
        else:
            rows = [image * self.tiles + tile for image in images for tile in range(self.tiles)]
            index = torch.tensor(rows, device=self.global_token.device)
        return self._replace(global_token=self.global_token[index], layers=tuple(layer[index] for layer in self.layers))


def join_tokens(parts: Sequence[ImageTokens]) -> ImageTokens:
    """Put batches of one grid together, one behind the other."""
    layers = tuple(torch.cat(layer) for layer in zip(*(part.layers for part in parts), strict=True))
    return parts[0]._replace(global_token=torch.cat([part.global_token for part in parts]), layers=layers)


def encode_image(visual: ImageTower, images: torch.Tensor, layers: Sequence[int], first_vv_block: int) -> ImageTokens:
    """Read tokens out of an open_clip ``VisionTransformer``.

    The standard stream is plain CLIP. The V-V stream starts as a copy of it before the first V-V block, and each V-V
    block adds ``out_proj(attention(v, v, v))`` with the values of the standard stream: patches attend to what looks
    like them, which keeps local evidence local. It never feeds back. A layer yields the V-V stream after its block, or
    the standard stream where there is no other yet.

    Only what is read is computed: no V-V stream behind the last layer, and of the last block's standard stream the
    class token alone.

    Args:
        visual: The image tower.
        images: Preprocessed images ``(B, 3, H, W)``, H and W multiples of the patch.
        layers: Wanted blocks, counted from 1, ascending.
        first_vv_block: First block with a V-V stream, counted from 1; all later ones have it too.

    Returns:
        The global token and one set of tokens a layer.
    """
    x, grid = embed_patches(visual, images)
    blocks = visual.transformer.resblocks
    vv_stream: torch.Tensor | None = None
    outputs = []
    for number, block in enumerate(blocks, start=1):
        if number > layers[-1]:
            vv_stream = None
        elif number == first_vv_block:
            vv_stream = x
        x, vv_stream = run_streams(block, x, vv_stream, class_only=number == len(blocks))
        if number in layers:
            outputs.append(visual.ln_post(x if vv_stream is None else vv_stream) @ visual.proj)
    return ImageTokens(x[:, 0] @ visual.proj, tuple(outputs), grid)


def embed_patches(visual: ImageTower, images: torch.Tensor) -> tuple[torch.Tensor, tuple[int, int]]:
    """Turn ``(B, 3, H, W)`` pixels into the first block's input ``(B, T, W)``, and tell the grid."""
    patches = visual.conv1(images)  # (B, W, rows, columns)
    rows, columns = patches.shape[-2:]
    class_token = visual.class_embedding.to(patches.dtype).expand(images.shape[0], 1, -1)
    x = torch.cat([class_token, patches.flatten(2).transpose(1, 2)], dim=1)  # (B, T, W)
    positions = resize_positions(visual.positional_embedding, visual.grid_size, (rows, columns))
    return visual.ln_pre(x + positions.to(x.dtype)), (rows, columns)


def run_streams(
    block: Block, x: torch.Tensor, vv_stream: torch.Tensor | None, *, class_only: bool
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Run both streams through one block.

    Args:
        block: An open_clip ``ResidualAttentionBlock``.
        x: Standard stream ``(B, T, W)``.
        vv_stream: V-V stream ``(B, T, W)``, or ``None`` where there is none.
        class_only: Let the standard stream end with its class token, ``(B, 1, W)``.

    Returns:
        Both streams after the block.
    """
    if vv_stream is None and not class_only:
        return run_block(block, x), None
    normed = block.ln_1(x)
    if class_only:
        x = x[:, :1]
        (q,), (k, v) = project(block, normed[:, :1], "q"), project(block, normed, "kv")
    else:
        q, k, v = project(block, normed, "qkv")
    if vv_stream is not None:
        vv_stream = vv_stream + attend(block, v, v, v)
    return feed_forward(block, x + attend(block, q, k, v)), vv_stream
