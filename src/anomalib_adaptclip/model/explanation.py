# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Why an image scores as it does: the parts of a prediction, and the nearest good patch of its most abnormal regions.

Letters: B batch, K normal prompt images (shots), S layers, L patches, D joint embedding width, H and W pixels.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import torch
from torch.nn.functional import max_pool2d

from anomalib_adaptclip.results.explanation import Explanation, Region
from anomalib_adaptclip.results.geometry import Box

from .evidence import Evidence, gather_images
from .fusion import fuse, harmonic_mean
from .precision import without_autocast

if TYPE_CHECKING:
    from .torch_model import AdaptCLIPModel

REGIONS = 3  # at most


def maps_by_adapter(model: "AdaptCLIPModel", images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each adapter marks in a batch, see :meth:`.AdaptCLIPModel.maps_by_adapter`."""
    model.encode_texts()
    prompts, size = model.own_prompts(), (images.shape[-2], images.shape[-1])
    together = len(images) if model.layout(size).tiles == 1 else 1
    parts = [_maps_of(model, part, prompts) for part in torch.split(images, together)]
    return {name: torch.cat([maps[name] for maps in parts]) for name in parts[0]}


def _maps_of(model: "AdaptCLIPModel", images: torch.Tensor, prompts: torch.Tensor | None) -> dict[str, torch.Tensor]:
    size = (images.shape[-2], images.shape[-1])
    evidence = gather_images(model, images, prompts)
    predictions, alignment = evidence.predictions(size), evidence.alignment_map(size)
    maps = {name: prediction.anomaly_map for name, prediction in predictions.items()}
    if alignment is not None and model.options.fusion != "paper":
        maps["alignment"] = alignment
    return maps | {"fused": fuse(predictions, alignment, model.options.fusion, evidence.layout.inside).anomaly_map}


@torch.no_grad()
def explain(
    model: "AdaptCLIPModel",
    images: torch.Tensor,
    prompts: Sequence[torch.Tensor | None],
    thresholds: Sequence[float | None],
    regions: Sequence[torch.Tensor | None],
) -> list[Explanation]:
    """Explain the predictions of a batch, image by image.

    Args:
        model: Model that predicts.
        images: Preprocessed images ``(B, 3, H, W)``.
        prompts: Packed prompts ``(S, K, L, D)`` of each image, None for zero-shot.
        thresholds: Raw value of each map that abnormal pixels exceed, None if it is not known.
        regions: Which part of each image is judged, a mask over the whole image; None for the model's own.

    Returns:
        Explanations on the CPU, boxes in pixels of the input.
    """
    model.encode_texts()
    parts = zip(torch.split(images, 1), prompts, thresholds, regions, strict=True)
    return [explain_one(model, *part) for part in parts]


def explain_one(
    model: "AdaptCLIPModel",
    image: torch.Tensor,
    prompts: torch.Tensor | None,
    threshold: float | None,
    region: torch.Tensor | None,
) -> Explanation:
    """Explain the prediction of one image ``(1, 3, H, W)``, as :func:`explain`."""
    size = (image.shape[-2], image.shape[-1])
    evidence = gather_images(model, image, prompts, region)
    with without_autocast(image.device.type):
        predictions, alignment = evidence.predictions(size), evidence.alignment_map(size)
        fused = fuse(predictions, alignment, model.options.fusion, evidence.layout.inside)
    anomaly_map = _plane(fused.anomaly_map)
    regions = []
    for component in components(anomaly_map, threshold):
        found = Region(_box_of(component), float(anomaly_map[component].max()))
        regions.append(found if prompts is None else with_nearest(found, component, evidence, prompts, model.layers))
    return Explanation(
        float(fused.score),
        anomaly_map,
        {name: float(prediction.score) for name, prediction in predictions.items()},
        {name: _plane(prediction.anomaly_map) for name, prediction in predictions.items()},
        None if alignment is None else _plane(alignment),
        tuple(regions),
    )


def components(anomaly_map: torch.Tensor, threshold: float | None, count: int = REGIONS) -> list[torch.Tensor]:
    """Find the most abnormal connected regions of a map, at least one.

    Args:
        anomaly_map: ``(H, W)``.
        threshold: Value that abnormal pixels exceed. Without it, or where nothing exceeds it, it is the middle between
            the lowest and the largest value.
        count: Regions to return at most.

    Returns:
        Masks ``(H, W)``, that of the largest value first.
    """
    low, high = float(anomaly_map.min()), float(anomaly_map.max())
    level = threshold if threshold is not None and high > threshold else (low + high) / 2
    mask = anomaly_map > level if high > low else torch.ones_like(anomaly_map, dtype=torch.bool)
    number, labels = cv2.connectedComponents(mask.byte().numpy(), connectivity=8)
    found = [torch.from_numpy(labels == label) for label in range(1, number)]
    return sorted(found, key=lambda part: -float(anomaly_map[part].max()))[:count]


def with_nearest(
    region: Region,
    component: torch.Tensor,
    evidence: Evidence,
    prompts: torch.Tensor,
    layers: Sequence[int],
) -> Region:
    """Add to a region its patch that is farthest from the good ones, and the nearest of these.

    Args:
        region: The region.
        component: Its mask ``(H, W)``.
        evidence: What was found in the image.
        prompts: Packed prompts ``(S, K, L, D)``, L patches of all tiles.
        layers: Numbers of the S layers.
    """
    matches, layout = evidence.matches, evidence.layout
    places, judged = layout.patches().flatten(0, 1), layout.judged()  # (L, 2)
    distances = torch.stack([match.score.flatten().float().cpu() for match in matches])  # (S, L)
    inside = max_pool2d(component[None].float(), layout.patch, layout.patch)[0].bool()[places[:, 0], places[:, 1]]
    rows = torch.arange(len(places)) if judged is None else judged.flatten().nonzero()[:, 0].cpu()  # of the prompts
    farthest = int(harmonic_mean([*distances]).where(inside, -1.0).argmax())
    layer = int(distances[:, farthest].argmin())
    nearest = int(matches[layer].nearest.flatten()[farthest])
    known: dict[str, Any] = {}
    if prompts.shape[2] == len(rows):  # else they are a coreset, or of other sizes, without positions
        shot, patch = divmod(nearest, prompts.shape[2])
        known = {"shot": shot, "prompt_box": layout.box(int(rows[patch]))}
    distance = float(distances[layer, farthest])
    return Region(region.box, region.score, layout.box(farthest), distance, layers[layer], **known)


def _box_of(component: torch.Tensor) -> Box:
    """Box around the pixels of a mask ``(H, W)``."""
    left, top, width, height = cv2.boundingRect(component.byte().numpy())
    return left, top, left + width, top + height


def _plane(maps: torch.Tensor) -> torch.Tensor:
    """The map ``(H, W)`` of one image on the CPU."""
    return maps[0, 0].float().cpu()
