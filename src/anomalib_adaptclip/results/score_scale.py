# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How a post-processor's normalised scores relate to raw ones, to thresholds, and to the scores of normal images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from anomalib.post_processing import PostProcessor

Numbers = TypeVar("Numbers", float, torch.Tensor)


@dataclass(frozen=True)
class Normalization:
    """A post-processor's way from raw scores to normalised ones.

    Attributes:
        factor: Raw distance that a normalised distance of 1 stands for; 1 where nothing is normalised.
        offset: Raw score that becomes 0.
        threshold: Raw score that labels or masks part at; ``None`` where nothing was calibrated.
    """

    factor: float = 1.0
    offset: float = 0.0
    threshold: float | None = None

    def undo(self, values: Numbers) -> Numbers:
        """Raw scores of normalised ones. At 0 and 1, where scores are clamped, they may lie farther out.

        Args:
            values: Normalised scores or maps, of any shape.
        """
        return values * self.factor + self.offset


@dataclass(frozen=True)
class ScoreScale:
    """What turns a score into something to judge by.

    Attributes:
        image: Normalisation of image scores; ``None`` if a post-processor of another kind does something unknown.
        pixel: Normalisation of maps, likewise.
        share_above: Tells the share of normal images that are expected to have a raw score as high; ``None`` where no
            normal images were calibrated on.
    """

    image: Normalization | None = Normalization()
    pixel: Normalization | None = Normalization()
    share_above: Callable[[float], float] | None = None


def score_scale(model: object) -> ScoreScale:
    """Read the scale of a prepared model.

    Args:
        model: An ``AdaptCLIP``, or another model of anomalib.
    """
    record = getattr(getattr(model, "calibrator", None), "record", None)
    share_above = record.image.share_above if record else None
    post_processor = getattr(model, "post_processor", None)
    if post_processor is None:
        return ScoreScale(share_above=share_above)
    if not isinstance(post_processor, PostProcessor):
        return ScoreScale(None, None, share_above)
    return ScoreScale(_normalization(post_processor, "image"), _normalization(post_processor, "pixel"), share_above)


def _normalization(post_processor: PostProcessor, name: str) -> Normalization:
    """Normalisation of ``"image"`` or ``"pixel"``, as anomalib's ``PostProcessor._normalize`` computes it."""
    threshold, least, largest, parting = (
        float(getattr(post_processor, attribute))
        for attribute in (f"{name}_threshold", f"{name}_min", f"{name}_max", f"normalized_{name}_threshold")
    )
    is_calibrated = threshold == threshold  # noqa: PLR0124  # not NaN
    factor, offset = 1.0, 0.0
    if post_processor.enable_normalization and least < largest:
        middle = threshold if is_calibrated else (least + largest) / 2
        factor = largest - least
        offset = middle - factor / 2
    has_threshold = is_calibrated and post_processor.enable_thresholding
    return Normalization(factor, offset, offset + factor * parting if has_threshold else None)
