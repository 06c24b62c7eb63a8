# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How a post-processor's normalised scores relate to raw ones, to thresholds, and to the scores of normal images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

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

    def apply(self, values: Numbers) -> Numbers:
        """Normalised scores of raw ones.

        Args:
            values: Raw scores or maps, of any shape.
        """
        return (values - self.offset) / self.factor

    def undo(self, values: Numbers) -> Numbers:
        """Raw scores of normalised ones. At 0 and 1, where scores are clamped, they may lie farther out.

        Args:
            values: Normalised scores or maps, of any shape.
        """
        return values * self.factor + self.offset

    def after(self, first: "Normalization") -> "Normalization":
        """The way back where scores were normalised by another before."""
        threshold = None if self.threshold is None else first.undo(self.threshold)
        return Normalization(self.factor * first.factor, first.undo(self.offset), threshold)


def around(threshold: float) -> Normalization:
    """Normalisation that shifts and shrinks scores in [0, 1] such that a threshold becomes 0.5, and none is clamped."""
    reach = max(threshold, 1 - threshold)  # to the farther end of [0, 1]
    return Normalization(2 * reach, threshold - reach, threshold)


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


def score_scale(model: object, category: str | None = None) -> ScoreScale:
    """Read the scale of a prepared model.

    Args:
        model: An ``AdaptCLIP``, or another model of anomalib.
        category: What the images show, for a model with a prompt bank: each category is normalised by itself there.
    """
    scale, record = _scale_of(getattr(model, "post_processor", None)), calibration_record(model, category)
    if not _is_by_category(model, category):
        return replace(scale, share_above=record.image.share_above if record else None)
    if record is None:  # scores stay raw, and get no verdict
        return ScoreScale()
    image, pixel = (
        part and part.after(around(threshold))
        for part, threshold in zip((scale.image, scale.pixel), record.thresholds, strict=True)
    )
    return ScoreScale(image, pixel, record.image.share_above)


def score_scales(model: object, categories: Sequence[str | None]) -> list[ScoreScale]:
    """Read the scale of each of B images, once for a category.

    Args:
        model: As for :func:`score_scale`.
        categories: What each image shows, B names; None without a prompt bank.
    """
    scales = {category: score_scale(model, category) for category in dict.fromkeys(categories)}
    return [scales[category] for category in categories]


def batch_scales(model: Any, batch: Any) -> list[ScoreScale]:  # noqa: ANN401  # the packages below do not know them
    """Read the scale of each image of a batch of anomalib."""
    categories = model.categories_of(batch) if hasattr(model, "categories_of") else None
    return score_scales(model, categories or [None] * len(batch))


def calibration_record(model: Any, category: str | None = None) -> Any:  # noqa: ANN401
    """What a model knows of the scores of normal images, a ``CalibrationRecord``; None if it was not calibrated so.

    Args:
        model: An ``AdaptCLIP``, or another model of anomalib.
        category: What the images show, for a model with a prompt bank.
    """
    calibrator: Any = getattr(model, "calibrator", None)
    if _is_by_category(model, category):
        return calibrator.record_of(category, model.prompt_bank)
    return getattr(calibrator, "record", None)


def _is_by_category(model: Any, category: str | None) -> bool:  # noqa: ANN401
    return category is not None and hasattr(getattr(model, "calibrator", None), "record_of")


def _scale_of(post_processor: object) -> ScoreScale:
    if post_processor is None:
        return ScoreScale()
    if not isinstance(post_processor, PostProcessor):
        return ScoreScale(None, None)
    return ScoreScale(_normalization(post_processor, "image"), _normalization(post_processor, "pixel"))


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
