# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds from normal images alone: each prompt is judged by the others.

Letters: K normal images, A variants of each, S layers, L patches, D joint embedding width, H and W pixels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch
from anomalib.post_processing import PostProcessor
from scipy.stats import t as student
from torchvision.transforms.v2.functional import adjust_brightness, resized_crop

from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.prompts.memory import align_layers, condense

from .torch_model import AdaptCLIPModel

Calibration = Literal["labels", "normal"]
Size = tuple[int, int]

_MARGIN = 0.04  # of the image, that a variant lacks at two sides
_BRIGHTNESS = 0.05
_SMALLEST = 1e-6  # probabilities nearer to 0 or 1 have the log-odds of this one


class Limits(NamedTuple):
    """What few normal images exceed.

    Attributes:
        score: Of the image.
        peak: Of the largest value of its map.
    """

    score: float
    peak: float


def normal_limits(
    model: AdaptCLIPModel,
    images: Sequence[torch.Tensor],
    preprocess: Callable[[torch.Tensor], torch.Tensor],
    rate: float,
) -> Limits:
    """Estimate what a new normal image exceeds at a rate, when these are the prompts.

    Args:
        model: Judges them. Its own prompts are not used.
        images: K different normal images ``(3, H, W)`` in [0, 1].
        preprocess: Makes the model's input of ``(A, 3, H, W)``.
        rate: Share of normal images that are to exceed a limit.

    Returns:
        The limits.

    Raises:
        ValueError: If there are fewer than two images.
    """
    if len(images) < 2:
        msg = (
            f"calibration='normal' compares normal images with one another and needs two different ones; got "
            f"{len(images)}. Raise k_shot, take another seed, or give few_shot_source."
        )
        raise ValueError(msg)
    model.encode_texts()
    prompts = torch.cat([model.encode_prompts(preprocess(image.unsqueeze(0))) for image in images], dim=1)
    values = torch.stack(list(_left_out_values(model, images, preprocess, prompts)))  # (K, A, 2)
    return Limits(*(upper_limit(part, rate) for part in values.unbind(dim=-1)))


@torch.no_grad()
def _left_out_values(
    model: AdaptCLIPModel,
    images: Sequence[torch.Tensor],
    preprocess: Callable[[torch.Tensor], torch.Tensor],
    prompts: torch.Tensor,
) -> Iterator[torch.Tensor]:
    for index, image in enumerate(images):
        batch = preprocess(variants(image))
        size = (batch.shape[-2], batch.shape[-1])
        yield left_out_values(model, model.encode(batch, model.layers), without_image(prompts, index), size)


def left_out_values(model: AdaptCLIPModel, tokens: ImageTokens, prompts: torch.Tensor, size: Size) -> torch.Tensor:
    """Judge variants of an image by other images.

    Args:
        model: Judges.
        tokens: Of the A variants.
        prompts: Packed prompts ``(S, K, L, D)`` of the others, to be brought within the model's budget.
        size: Height H and width W of the map in pixels.

    Returns:
        Scores and largest values of the maps ``(A, 2)``.
    """
    prompts = condense(prompts.flatten(1, 2), prompts.shape[1], model.prompt_memory.budget)
    output: Any = model.predict(tokens, align_layers(tokens.layers, prompts), size)
    return torch.stack([output.pred_score, output.anomaly_map.flatten(1).amax(dim=1)], dim=1).float().cpu()


def distinct(images: Iterable[torch.Tensor]) -> list[torch.Tensor]:
    """Each image once. A copy would be judged by itself, and be perfectly normal.

    Args:
        images: Of any sizes.

    Returns:
        Those that differ from all before them.
    """
    found: list[torch.Tensor] = []
    for image in images:
        if not any(torch.equal(image, other) for other in found):
            found.append(image)
    return found


def without_image(prompts: torch.Tensor, index: int) -> torch.Tensor:
    """Packed prompts ``(S, K - 1, L, D)``: all but one."""
    return torch.cat([prompts[:, :index], prompts[:, index + 1 :]], dim=1)


def variants(image: torch.Tensor) -> torch.Tensor:
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


def upper_limit(values: torch.Tensor, rate: float) -> float:
    """Estimate what a new image exceeds at a rate, from few images.

    Log-odds of normal images are taken to be normally distributed. Their mean is that of the images themselves, for
    a variant may be a little less normal throughout; their variance is estimated on all variants. Both are estimates,
    for which the quantile of Student's t makes up: without it far more than the rate would exceed the limit that few
    images give.

    Args:
        values: ``(K, A)`` in [0, 1], A variants of K images, K at least 2, each image itself first.
        rate: Share of new images, in (0, 1).

    Returns:
        The limit, in (0, 1).
    """
    odds = values.double().clamp(_SMALLEST, 1 - _SMALLEST).logit()
    images = len(odds)
    variance = odds.var(dim=0).mean() * (1 + 1 / images)  # of a new image's distance from the mean
    quantile = float(student.ppf(1 - rate, images - 1))
    return float((odds[:, 0].mean() + quantile * variance.sqrt()).sigmoid())


def apply_limits(post_processor: PostProcessor, limits: Limits) -> None:
    """Make limits the thresholds of a post-processor.

    Scores are normalised such that the threshold is 0.5, and so that nothing is clamped: the order of images stays.

    Args:
        post_processor: Changed in place.
        limits: Of image and pixels.
    """
    for name, limit in (("image", limits.score), ("pixel", limits.peak)):
        reach = max(limit, 1 - limit)  # to the farther end of [0, 1]
        getattr(post_processor, f"_{name}_threshold").fill_(limit)
        getattr(post_processor, f"{name}_min").fill_(limit - reach)
        getattr(post_processor, f"{name}_max").fill_(limit + reach)


def require_calibration(
    calibration: str, rate: float, k_shot: int, bank: object | None, post_processor: object
) -> None:
    """Check a model's arguments that concern its calibration.

    Args:
        calibration: Name of it.
        rate: False-positive rate.
        k_shot: Number of shots.
        bank: Prompt bank, if there is one.
        post_processor: Post-processor, or flag.

    Raises:
        ValueError: If one is out of range, or they do not go together.
    """
    require_choice("calibration", calibration, Calibration)
    if not 0 < rate < 1:
        msg = f"false_positive_rate is a share of the normal images, between 0 and 1, such as 0.1; got {rate}."
        raise ValueError(msg)
    if calibration == "labels":
        return
    normalises = post_processor is True or (
        isinstance(post_processor, PostProcessor) and post_processor.enable_normalization
    )
    problem = ""
    if bank is not None:
        problem = "finds one threshold, and a prompt bank has many categories. Leave the bank or the calibration out"
    elif k_shot < 2:
        problem = f"compares normal images with one another: k_shot must be 2 at least, 8 is better; got {k_shot}"
    elif not normalises:
        problem = "sets the thresholds of anomalib's PostProcessor, with normalisation. Give none, or that one"
    if problem:
        msg = f"calibration='normal' {problem}."
        raise ValueError(msg)
