# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Calibration on normal images alone: each prompt is compared with the others, which gives the thresholds.

Letters: K normal images, A variants of each (the image itself first), S layers, L patches, D joint embedding width,
H and W pixels.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from anomalib.post_processing import PostProcessor
from torchvision.transforms.v2.functional import adjust_brightness, resized_crop

from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.clip import ImageTokens, join_tokens
from anomalib_adaptclip.prompts.coreset import select_coreset

from .fusion import image_maximum
from .prediction import predict
from .thresholds import NormalScores, Thresholds, normal_scores
from .torch_model import AdaptCLIPModel

logger = logging.getLogger(__name__)

Calibration = Literal["labels", "normal"]

FALSE_POSITIVE_RATE = 0.1  # where nothing is said
_MARGIN = 0.04  # of the image, that a variant lacks at two sides
_BRIGHTNESS = 0.05


@dataclass(frozen=True)
class CalibrationRecord:
    """How the prompts score when each is compared with the others; a checkpoint keeps it.

    Attributes:
        files: Prompt images.
        rate: Chosen false-positive rate.
        image: Scores of normal images.
        pixel: Largest values of their maps.
    """

    files: tuple[str, ...]
    rate: float
    image: NormalScores
    pixel: NormalScores

    @property
    def thresholds(self) -> Thresholds:
        """Thresholds of images and pixels."""
        return Thresholds(self.image.bound(self.rate), self.pixel.bound(self.rate))


class Calibrator:
    """Finds the thresholds that the prompts imply, and remembers for which prompts.

    Args:
        rate: Share of normal images that may exceed the image threshold, and show pixels above the pixel threshold.

    Attributes:
        record: What was found last; None before.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.record: CalibrationRecord | None = None

    def is_current(self, files: Sequence[str]) -> bool:
        """Whether the thresholds are those of these prompts."""
        return self.record is not None and self.record.files == tuple(files)

    def restore(self, record: CalibrationRecord | None, saved: Mapping[str, Any]) -> None:
        """Take over what a checkpoint says of the prompts; a rate that was given sets other thresholds.

        Args:
            record: What was found, if anything was.
            saved: Arguments in the checkpoint.
        """
        if self.rate == FALSE_POSITIVE_RATE:
            self.rate = saved.get("false_positive_rate", FALSE_POSITIVE_RATE)
        self.record = replace(record, rate=self.rate) if record else None

    @property
    def thresholds(self) -> Thresholds | None:
        """Thresholds of images and pixels; None before they were found."""
        return self.record.thresholds if self.record else None

    def fit(self, model: AdaptCLIPModel, files: Sequence[str], inputs: torch.Tensor, tokens: ImageTokens) -> None:
        """Find the thresholds of prompts.

        Args:
            model: Model that scores them. The prompts in its memory are not used.
            files: Paths of all prompts, which the thresholds are remembered for.
            inputs: Preprocessed variants ``(K, A, 3, H, W)`` of the K different prompt images.
            tokens: Tokens of those images, as the prompts were encoded.

        Raises:
            ValueError: If there are fewer than two different images.
        """
        logger.info("Calibrating on the good images.")
        if len(inputs) < 2:
            msg = (
                f"calibration='normal' compares normal images with one another and needs two different ones; got "
                f"{len(inputs)}. Raise k_shot, take another seed, or give few_shot_source."
            )
            raise ValueError(msg)
        values = leave_one_out(model, inputs, tokens)  # (K, A, 2)
        self.record = CalibrationRecord(tuple(files), self.rate, *map(normal_scores, values.unbind(dim=-1)))
        logger.info(
            "Calibrated on %d normal images for %g false positives: thresholds %.4f (image) and %.4f (pixels).",
            len(inputs),
            self.rate,
            *self.record.thresholds,
        )


@torch.no_grad()
def leave_one_out(model: AdaptCLIPModel, inputs: torch.Tensor, tokens: ImageTokens) -> torch.Tensor:
    """Score each image, and its variants, with the other images as prompts.

    Args:
        model: Model that scores them.
        inputs: Preprocessed variants ``(K, A, 3, H, W)`` of K different images, each image itself first.
        tokens: Tokens of the K images themselves, which are not encoded again.

    Returns:
        Scores, and largest values of the maps: ``(K, A, 2)``.
    """
    size = (inputs.shape[-2], inputs.shape[-1])
    prompts = model.prompt_memory.pack(tokens)
    values = []
    for row, variants in enumerate(inputs):
        query = join_tokens([tokens.select([row]), model.encode_prompts(variants[1:])])
        values.append(score_with(model, query, without_image(prompts, row), size))
    return torch.stack(values)


def score_with(model: AdaptCLIPModel, query: ImageTokens, prompts: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Score A images with given prompts.

    Args:
        model: Model that scores them.
        query: Tokens of the images.
        prompts: Packed prompts ``(S, K, L, D)``, which are brought within the model's budget.
        size: Height H and width W of the map in pixels.

    Returns:
        Scores, and largest values of the maps: ``(A, 2)``.
    """
    prompts = select_coreset(prompts.flatten(1, 2), prompts.shape[1], model.prompt_memory.budget)
    output: Any = predict(model, query, prompts, size)
    return torch.stack([output.pred_score, image_maximum(output.anomaly_map)], dim=1).float().cpu()


def without_image(prompts: torch.Tensor, index: int) -> torch.Tensor:
    """All packed prompts but one: ``(S, K - 1, L, D)``."""
    return torch.cat([prompts[:, :index], prompts[:, index + 1 :]], dim=1)


def make_variants(image: torch.Tensor) -> torch.Tensor:
    """The image, and two that another good part could look like: moved and magnified a little, darker or brighter.

    Args:
        image: ``(3, H, W)`` in [0, 1].

    Returns:
        ``(A, 3, H, W)``, A = 3, the image itself first.
    """
    height, width = image.shape[-2:]
    down, across = round(height * _MARGIN), round(width * _MARGIN)
    size = [height, width]
    first = resized_crop(image, 0, 0, height - down, width - across, size, antialias=True)
    second = resized_crop(image, down, across, height - down, width - across, size, antialias=True)
    return torch.stack(
        [image, adjust_brightness(first, 1 + _BRIGHTNESS), adjust_brightness(second, 1 - _BRIGHTNESS)]
    ).clamp(0, 1)


def require_calibration(
    calibration: str, rate: float, k_shot: int, bank: object | None, post_processor: object
) -> None:
    """Check a model's arguments that concern its calibration.

    Args:
        calibration: How thresholds are found.
        rate: False-positive rate.
        k_shot: Number of shots.
        bank: Prompt bank, if there is one.
        post_processor: Post-processor, or flag.

    Raises:
        ValueError: If one is out of range, or they do not go together.
    """
    require_choice("calibration", calibration, Calibration)
    require_rate(rate)
    if calibration == "labels" and rate != FALSE_POSITIVE_RATE:
        msg = f"false_positive_rate={rate} is for calibration='normal'; labels set thresholds without it. Leave it out."
        raise ValueError(msg)
    if calibration == "labels":
        return
    normalises = post_processor is True or (
        isinstance(post_processor, PostProcessor) and post_processor.enable_normalization
    )
    problem = ""
    if bank is None and k_shot < 2:
        problem = f"compares normal images with one another: k_shot must be 2 at least, 8 is better; got {k_shot}"
    elif not normalises:
        problem = "sets the thresholds of anomalib's PostProcessor, with normalisation. Give none, or that one"
    if problem:
        msg = f"calibration='normal' {problem}."
        raise ValueError(msg)


def require_rate(rate: float) -> None:
    """Check a false-positive rate.

    Raises:
        ValueError: If it is out of range.
    """
    if not 0 < rate < 1:
        msg = f"false_positive_rate is a share of the normal images, between 0 and 1, such as 0.1; got {rate}."
        raise ValueError(msg)
