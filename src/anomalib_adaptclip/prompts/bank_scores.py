# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How the good images of a category score, each compared with the others: a bank keeps it, thresholds come from it.

Letters: K images, A variants of an image (the image itself first), S layers, L patches, D joint embedding width.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from anomalib_adaptclip.clip import ImageTokens

MOST = 32  # images that are scored at a time: more tell little more, and each is compared with all
Values = list[list[float]]  # of A variants: the score, and the largest value of the map, in [0, 1]
ModelScores = Mapping[str, Mapping[str, Values]]  # by what scored them, and by the hash of the image


class Judge(Protocol):
    """Scores good images; ``BankJudge`` is one.

    Attributes:
        model: Tells by content what the scores depend on.
    """

    model: str

    def __call__(self, row: int, tokens: ImageTokens, prompts: torch.Tensor) -> Values:
        """Score an image, and its variants.

        Args:
            row: Its place among the images that are added.
            tokens: Its tokens.
            prompts: Packed prompts ``(S, K, L, D)``, the other images.
        """
        ...


def judge_images(
    judge: Judge, tokens: ImageTokens, places: Mapping[str, int], new: Mapping[str, torch.Tensor], old: "OldImages"
) -> dict[str, Values]:
    """Score images of a category, each compared with all others; of many a choice, evenly spaced.

    Args:
        judge: Scores one of them.
        tokens: Tokens of the images.
        places: Which image of those that are added each of them is, by its hash.
        new: Packed patches ``(S, L, D)`` of each by its hash.
        old: What the category had before.

    Returns:
        Values by hash. An image is left out if there is no other, or if it cannot be told from the others any more.
    """
    found = {}
    parts = old.parts(new)
    images = len({*old.hashes, *new})
    for row, (own, place) in list(enumerate(places.items()))[:: -(-len(places) // MOST)]:
        others = [part for key, part in parts.items() if key != own]
        if own in parts and others:
            found[own] = judge(place, tokens.select([row]), pack_parts(others, images - 1))
    return found


class OldImages:
    """What a category had before others are added.

    Args:
        tokens: Packed prompts ``(S, K, L, D)``, if there are some.
        hashes: Hashes of its K images.
    """

    def __init__(self, tokens: torch.Tensor | None, hashes: Sequence[str]) -> None:
        self.tokens, self.hashes = tokens, hashes

    def is_reduced(self, new: Mapping[str, torch.Tensor]) -> bool:
        """Whether a budget took patches away, so that a row is no image any more."""
        patches = next(iter(new.values())).shape[1]
        return self.tokens is not None and self.tokens.shape[1:3] != (len(self.hashes), patches)

    def parts(self, new: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Patches ``(S, L, D)`` of all images by their hashes; those of a reduced set together."""
        if self.tokens is None:
            return {**new}
        if self.is_reduced(new):
            own = {"": self.tokens.flatten(1, 2)}
            return own | {key: part for key, part in new.items() if key not in self.hashes}
        return {**new, **dict(zip(self.hashes, self.tokens.unbind(1), strict=True))}


def pack_parts(parts: Sequence[torch.Tensor], images: int) -> torch.Tensor:
    """Patches ``(S, L, D)`` of some parts in the form of packed prompts ``(S, K, L, D)`` of K images."""
    pool = torch.cat([part.to(parts[0]) for part in parts], dim=1)  # (S, K * L, D)
    return pool.reshape(len(pool), images if pool.shape[1] % images == 0 else 1, -1, pool.shape[-1])


def merge_scores(old: ModelScores, model: str, found: Mapping[str, Values]) -> ModelScores:
    """Scores of a category with those that were just found."""
    return {**old, model: {**old.get(model, {}), **found}} if found else old


def read_scores(content: Any) -> dict[str, ModelScores]:  # noqa: ANN401
    """Check scores of categories that a file holds.

    Raises:
        AttributeError, TypeError, ValueError: If they are damaged.
    """
    return {
        name: {str(model): {key: _values(own) for key, own in images.items()} for model, images in models.items()}
        for name, models in content.items()
    }


def _values(content: Any) -> Values:  # noqa: ANN401
    values = [[float(number) for number in variant] for variant in content]
    good = bool(values) and all(len(variant) == 2 for variant in values)
    if not good or not all(math.isfinite(number) and 0 <= number <= 1 for variant in values for number in variant):
        msg = f"scores {str(content)[:80]} are no pairs of numbers in [0, 1]"
        raise ValueError(msg)
    return values


def image_hash(image: torch.Tensor) -> str:
    """SHA-256, in hexadecimal, of a preprocessed image ``(3, H, W)``: the same for copies under other names."""
    return hashlib.sha256(image.detach().float().cpu().contiguous().numpy().data).hexdigest()
