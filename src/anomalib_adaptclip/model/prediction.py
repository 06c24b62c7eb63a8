# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From images or their tokens to one score and one map each.

Letters: B batch, S layers, K normal prompt images, L patches of an image, D joint embedding width, H and W pixels.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from anomalib.data import InferenceBatch

from anomalib_adaptclip.clip import ImageTokens

from .evidence import Evidence, gather, gather_images, split_tiles
from .finite import finite_output
from .fusion import fuse
from .precision import without_autocast

if TYPE_CHECKING:
    from .torch_model import AdaptCLIPModel

Size = tuple[int, int]


def predict_images(model: "AdaptCLIPModel", images: torch.Tensor, prompts: torch.Tensor | None) -> InferenceBatch:
    """Score and segment a batch, all images with the same prompts.

    Of images in tiles no more than a few tiles go through CLIP at a time.

    Args:
        model: The model.
        images: Preprocessed images ``(B, 3, H, W)``.
        prompts: Packed prompts ``(S, K, L, D)``, None for zero-shot.

    Returns:
        ``pred_score`` ``(B,)`` and ``anomaly_map`` ``(B, 1, H, W)``.
    """
    model.encode_texts()
    size = (images.shape[-2], images.shape[-1])
    if model.layout(size).tiles == 1 or torch.compiler.is_compiling():
        return fused(model, gather_images(model, images, prompts), size)
    return _join([fused(model, gather_images(model, image, prompts), size) for image in torch.split(images, 1)])


def predict_images_each(
    model: "AdaptCLIPModel", images: torch.Tensor, prompts: Sequence[torch.Tensor | None]
) -> InferenceBatch:
    """Score and segment a batch as :func:`predict_images`, each image with prompts of its own."""
    size = (images.shape[-2], images.shape[-1])
    if model.layout(size).tiles == 1:
        model.encode_texts()
        return predict_each(model, model.encode(images, model.layers), prompts, size)
    pairs = zip(torch.split(images, 1), prompts, strict=True)
    return _join([predict_images(model, image, own) for image, own in pairs])


@torch.no_grad()
def predict_each(
    model: "AdaptCLIPModel", tokens: ImageTokens, prompts: Sequence[torch.Tensor | None], size: Size
) -> InferenceBatch:
    """Score and segment a batch by its tokens, each image with prompts of its own.

    Args:
        model: The model.
        tokens: Tokens of B queries at all layers.
        prompts: Packed prompts ``(S, K, L, D)`` for each query, None for zero-shot. Queries that share the same tensor
            are compared with it together.
        size: Height H and width W of queries and maps in pixels.
    """
    groups: dict[int, list[int]] = {}
    for row, own in enumerate(prompts):
        groups.setdefault(id(own), []).append(row)
    if len(groups) == 1:
        return predict(model, tokens, prompts[0], size)
    output = _join([predict(model, tokens.select(rows), prompts[rows[0]], size) for rows in groups.values()])
    order = [row for rows in groups.values() for row in rows]
    places = torch.tensor(order, device=tokens.global_token.device).argsort()
    scores, maps = torch.as_tensor(output.pred_score), torch.as_tensor(output.anomaly_map)
    return InferenceBatch(pred_score=scores[places], anomaly_map=maps[places])


def predict(model: "AdaptCLIPModel", tokens: ImageTokens, prompts: torch.Tensor | None, size: Size) -> InferenceBatch:
    """Score and segment a batch by its tokens, all images with the same prompts, as :func:`predict_each`."""
    return fused(model, gather(model, split_tiles(tokens), prompts, model.layout(size)), size)


def fused(model: "AdaptCLIPModel", evidence: Evidence, size: Size) -> InferenceBatch:
    """One score and one map of H x W pixels, float32, of what adapters and alignment found."""
    with without_autocast(model.static_pair.device.type):
        predictions, alignment = evidence.predictions(size), evidence.alignment_map(size)
        return finite_output(fuse(predictions, alignment, model.options.fusion))


def _join(outputs: Sequence[InferenceBatch]) -> InferenceBatch:
    return InferenceBatch(
        pred_score=torch.cat([torch.as_tensor(output.pred_score) for output in outputs]),
        anomaly_map=torch.cat([torch.as_tensor(output.anomaly_map) for output in outputs]),
    )
