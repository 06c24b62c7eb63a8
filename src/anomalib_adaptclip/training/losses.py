# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Losses that the adapters are trained with.

Letters: B batch, H and W pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import cross_entropy

from anomalib_adaptclip.adapters import AdapterOutput
from anomalib_adaptclip.adapters.adapter_file import ADAPTER_FILE
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch
from anomalib_adaptclip.model.anomaly_map import upsample

SMOOTHING = 1e-5  # of labels, in the focal loss


class AdapterLoss(NamedTuple):
    """Loss of one adapter output, in the parts that are logged.

    Attributes:
        classification: Cross-entropy of the image logits, a scalar.
        segmentation: Focal loss plus the Dice losses of the abnormal and the normal map, a scalar.
    """

    classification: torch.Tensor
    segmentation: torch.Tensor


def adapter_loss(
    output: AdapterOutput, label: torch.Tensor, mask: torch.Tensor | None, has_mask: torch.Tensor | None = None
) -> AdapterLoss:
    """Loss of the output of an adapter, or of the prompt-query adapter at one layer.

    Args:
        output: Logits ``(B, 2)`` and map ``(B, 1, h, w)`` at the adapter's own resolution.
        label: 1 for abnormal images, ``(B,)`` integers.
        mask: 1 for abnormal pixels, ``(B, H, W)`` in {0, 1}; it sets the resolution. None where no image has one.
        has_mask: Which masks are known, ``(B,)`` booleans; all by default. An image without counts as one whose map is
            right.

    Returns:
        Both parts; training minimises their sum.
    """
    classification = cross_entropy(output.logits.float(), label)
    if mask is None:
        return AdapterLoss(classification, torch.zeros_like(classification))
    maps = output.patch_probabilities.float()  # float32 whatever the precision
    if has_mask is None or has_mask.all():
        return AdapterLoss(classification, segmentation_loss(maps, mask))
    if not has_mask.any():
        return AdapterLoss(classification, 0 * maps.sum())  # several processes wait for a gradient of each parameter
    segmentation = segmentation_loss(maps[has_mask], mask[has_mask])
    return AdapterLoss(classification, has_mask.float().mean() * segmentation)


def segmentation_loss(maps: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Focal loss plus the Dice losses of the abnormal and the normal map, a scalar.

    Args:
        maps: Probability of abnormal, ``(B, 1, h, w)`` in [0, 1].
        mask: ``(B, H, W)`` in {0, 1}; it sets the resolution.
    """
    abnormal = upsample(maps, (mask.shape[-2], mask.shape[-1])).squeeze(1)  # (B, H, W)
    return focal_loss(abnormal, mask) + dice_loss(abnormal, mask) + dice_loss(1 - abnormal, 1 - mask)


def focal_loss(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Binary focal loss on probabilities, gamma 2, no class weight, mean over all pixels.

    Args:
        probability: Probability of the positive class, any shape, in [0, 1].
        target: 1 where positive, else 0, of the same shape.

    Returns:
        A scalar of at least 0 up to rounding. The one-hot target is smoothed by 1e-5 and so much added again, which
        keeps the logarithm finite at 0.
    """
    correct = torch.where(target > 0.5, probability, 1 - probability)
    correct = (1 - SMOOTHING) * correct + SMOOTHING * (1 - correct) + SMOOTHING
    return -((1 - correct) ** 2 * correct.log()).mean()


def dice_loss(probability: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """One minus the Dice coefficient of each image with smoothing 1, averaged over the batch.

    Args:
        probability: ``(B, H, W)`` in [0, 1].
        target: ``(B, H, W)`` in {0, 1}.

    Returns:
        A scalar in [0, 1).
    """
    probability, target = probability.flatten(1), target.flatten(1)
    overlap = (probability * target).sum(dim=1)
    return (1 - (2 * overlap + 1) / (probability.sum(dim=1) + target.sum(dim=1) + 1)).mean()


def total_loss(losses: Sequence[AdapterLoss]) -> AdapterLoss:
    """Sum the losses of the layers, part by part."""
    return AdapterLoss(*(torch.stack(part).sum() for part in zip(*losses, strict=True)))


def require_finite(loss: torch.Tensor, batch: QueryPromptBatch) -> None:
    """Check that the loss of a batch is finite.

    Raises:
        FloatingPointError: If it is not; the files of the batch are named.
    """
    if loss.isfinite():
        return
    pairs = [f"{q} with prompt {p}" for q, p in zip(batch.image_path or (), batch.prompt_path or (), strict=True)]
    msg = (
        f"The loss became {loss.item()} with this batch:\n  " + "\n  ".join(pairs) + "\nTraining stopped; the "
        f"{ADAPTER_FILE} of the last whole epoch is kept. Look at these images, or lower the learning rate."
    )
    raise FloatingPointError(msg)
