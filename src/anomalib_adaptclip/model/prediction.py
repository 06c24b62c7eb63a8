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


def predict_images(
    model: "AdaptCLIPModel", images: torch.Tensor, prompts: torch.Tensor | None, region: torch.Tensor | None = None
) -> InferenceBatch:
    """Score and segment a batch, all images with the same prompts.

    Of images in tiles no more than a few tiles go through CLIP at a time.

    Args:
        model: The model.
        images: Preprocessed images ``(B, 3, H, W)``.
        prompts: Packed prompts ``(S, K, L, D)``, None for zero-shot.
        region: Which part of the images is judged, a mask over the whole image; the model's own by default.

    Returns:
        ``pred_score`` ``(B,)`` and ``anomaly_map`` ``(B, 1, H, W)``.
    """
    model.encode_texts()
    size = (images.shape[-2], images.shape[-1])
    if model.layout(size).tiles == 1 or torch.compiler.is_compiling():
        return fused(model, gather_images(model, images, prompts, region), size)
    return _join([fused(model, gather_images(model, image, prompts, region), size) for image in torch.split(images, 1)])


def predict_images_each(
    model: "AdaptCLIPModel",
    images: torch.Tensor,
    prompts: Sequence[torch.Tensor | None],
    regions: Sequence[torch.Tensor | None],
) -> InferenceBatch:
    """Score and segment a batch as :func:`predict_images`, each image with prompts and a region of its own."""
    size = (images.shape[-2], images.shape[-1])
    parts = torch.split(images, 1)
    if model.layout(size).tiles > 1:
        return _join([predict_images(model, *own) for own in zip(parts, prompts, regions, strict=True)])
    model.encode_texts()
    cut = [model.layout(size, own).cut(image, range(1)) for image, own in zip(parts, regions, strict=True)]
    return predict_each(model, model.encode(torch.cat(cut), model.layers), prompts, size, regions)


@torch.no_grad()
def predict_each(
    model: "AdaptCLIPModel",
    tokens: ImageTokens,
    prompts: Sequence[torch.Tensor | None],
    size: Size,
    regions: Sequence[torch.Tensor | None] | None = None,
) -> InferenceBatch:
    """Score and segment a batch by its tokens, each image with prompts of its own.

    Args:
        model: The model.
        tokens: Tokens of B queries at all layers.
        prompts: Packed prompts ``(S, K, L, D)`` for each query, None for zero-shot. Queries that share the same tensor
            are compared with it together.
        size: Height H and width W of queries and maps in pixels.
        regions: Which part of each query was looked at, the same for those with the same prompts; all by default.
    """
    groups: dict[int, list[int]] = {}
    for row, own in enumerate(prompts):
        groups.setdefault(id(own), []).append(row)
    if len(groups) == 1:
        return predict(model, tokens._replace(region=regions[0] if regions else None), prompts[0], size)
    outputs = []
    for rows in groups.values():
        part = tokens.select(rows)._replace(region=regions[rows[0]] if regions else None)
        outputs.append(predict(model, part, prompts[rows[0]], size))
    output = _join(outputs)
    order = [row for rows in groups.values() for row in rows]
    places = torch.tensor(order, device=tokens.global_token.device).argsort()
    scores, maps = torch.as_tensor(output.pred_score), torch.as_tensor(output.anomaly_map)
    return InferenceBatch(pred_score=scores[places], anomaly_map=maps[places])


def predict(model: "AdaptCLIPModel", tokens: ImageTokens, prompts: torch.Tensor | None, size: Size) -> InferenceBatch:
    """Score and segment a batch by its tokens, all images with the same prompts, as :func:`predict_each`."""
    return fused(model, gather(model, split_tiles(tokens), prompts, model.layout(size, tokens.region)), size)


def fused(model: "AdaptCLIPModel", evidence: Evidence, size: Size) -> InferenceBatch:
    """One score and one map of H x W pixels, float32, of what adapters and alignment found."""
    with without_autocast(model.static_pair.device.type):
        predictions, alignment = evidence.predictions(size), evidence.alignment_map(size)
        return finite_output(fuse(predictions, alignment, model.options.fusion, evidence.layout.inside))


def _join(outputs: Sequence[InferenceBatch]) -> InferenceBatch:
    return InferenceBatch(
        pred_score=torch.cat([torch.as_tensor(output.pred_score) for output in outputs]),
        anomaly_map=torch.cat([torch.as_tensor(output.anomaly_map) for output in outputs]),
    )
