# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Why an image scores as it does: the parts of a prediction, and the nearest good patch of its most abnormal regions.

Letters: B batch, K normal prompt images (shots), S layers, L patches, D joint embedding width, H and W pixels.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import torch
from torch.nn.functional import max_pool2d

from anomalib_adaptclip.adapters import Alignment
from anomalib_adaptclip.prompts.memory import align_layers
from anomalib_adaptclip.results.explanation import Explanation, Region
from anomalib_adaptclip.results.geometry import Box

from .fusion import fuse, harmonic_mean
from .precision import without_autocast

if TYPE_CHECKING:
    from .torch_model import AdaptCLIPModel

REGIONS = 3  # at most


class Patches(NamedTuple):
    """How an image is cut into patches.

    Attributes:
        grid: Rows and columns of patches.
        size: Height and width of a patch in pixels.
    """

    grid: tuple[int, int]
    size: tuple[int, int]

    def box(self, index: int) -> Box:
        """Box of a patch in pixels."""
        row, column = divmod(index, self.grid[1])
        height, width = self.size
        return column * width, row * height, (column + 1) * width, (row + 1) * height


def maps_by_adapter(model: "AdaptCLIPModel", images: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each adapter marks in a batch, see :meth:`.AdaptCLIPModel.maps_by_adapter`."""
    tokens, alignments = model.encode_and_align(images)
    predictions, alignment = model.predict_by_adapter(tokens, alignments, (images.shape[-2], images.shape[-1]))
    maps = {name: prediction.anomaly_map for name, prediction in predictions.items()}
    if alignment is not None and model.options.fusion != "paper":
        maps["alignment"] = alignment
    return maps | {"fused": fuse(predictions, alignment, model.options.fusion).anomaly_map}


@torch.no_grad()
def explain(
    model: "AdaptCLIPModel",
    images: torch.Tensor,
    prompts: Sequence[torch.Tensor | None],
    thresholds: Sequence[float | None],
) -> list[Explanation]:
    """Explain the predictions of a batch, image by image.

    Args:
        model: Model that predicts.
        images: Preprocessed images ``(B, 3, H, W)``.
        prompts: Packed prompts ``(S, K, L, D)`` of each image, None for zero-shot.
        thresholds: Raw value of each map that abnormal pixels exceed, None if it is not known.

    Returns:
        Explanations on the CPU, boxes in pixels of the input.
    """
    model.encode_texts()
    parts = zip(images, prompts, thresholds, strict=True)
    return [explain_one(model, image.unsqueeze(0), own, threshold) for image, own, threshold in parts]


def explain_one(
    model: "AdaptCLIPModel", image: torch.Tensor, prompts: torch.Tensor | None, threshold: float | None
) -> Explanation:
    """Explain the prediction of one image ``(1, 3, H, W)``, as :func:`explain`."""
    tokens = model.encode(image, model.layers[-1:] if prompts is None else model.layers)
    alignments = [] if prompts is None else align_layers(tokens.layers, prompts.to(image.device))
    predictions, alignment = model.predict_by_adapter(tokens, alignments, (image.shape[-2], image.shape[-1]))
    with without_autocast(image.device.type):
        fused = fuse(predictions, alignment, model.options.fusion)
    patches = Patches(tokens.grid, model.patch_size)
    anomaly_map = _plane(fused.anomaly_map)
    regions = []
    for component in components(anomaly_map, threshold):
        region = Region(_box_of(component), float(anomaly_map[component].max()))
        if prompts is not None:
            region = with_nearest(region, component, alignments, patches, prompts, model.layers)
        regions.append(region)
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
    alignments: Sequence[Alignment],
    patches: Patches,
    prompts: torch.Tensor,
    layers: Sequence[int],
) -> Region:
    """Add to a region its patch that is farthest from the good ones, and the nearest of these.

    Args:
        region: The region.
        component: Its mask ``(H, W)``.
        alignments: Alignments of the image, one for each layer.
        patches: How the image is cut.
        prompts: Packed prompts ``(S, K, L, D)``.
        layers: Numbers of the S layers.
    """
    distances = torch.stack([alignment.score[0].float().cpu() for alignment in alignments])  # (S, L)
    inside = max_pool2d(component[None].float(), patches.size, patches.size).flatten().bool()  # (L,)
    farthest = int(harmonic_mean([*distances]).where(inside, -1.0).argmax())
    place = int(distances[:, farthest].argmin())
    nearest = int(alignments[place].nearest[0, farthest])
    known: dict[str, Any] = {}
    if prompts.shape[2] == patches.grid[0] * patches.grid[1]:  # else they are a coreset, without positions
        shot, patch = divmod(nearest, prompts.shape[2])
        known = {"shot": shot, "prompt_box": patches.box(patch)}
    return Region(
        region.box, region.score, patches.box(farthest), float(distances[place, farthest]), layers[place], **known
    )


def _box_of(component: torch.Tensor) -> Box:
    """Box around the pixels of a mask ``(H, W)``."""
    left, top, width, height = cv2.boundingRect(component.byte().numpy())
    return left, top, left + width, top + height


def _plane(maps: torch.Tensor) -> torch.Tensor:
    """The map ``(H, W)`` of one image on the CPU."""
    return maps[0, 0].float().cpu()
