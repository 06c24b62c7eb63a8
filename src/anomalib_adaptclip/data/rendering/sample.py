# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From a category and an index to an image and its mask."""

import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from anomalib_adaptclip.argument_types import require_at_least, require_types

from .canvas import Canvas
from .categories import get_category
from .colours import mix
from .defects import DEFECTS
from .noise import smooth_noise
from .shapes import Array, axes

MIN_IMAGE_SIZE = 64
_SUPERSAMPLING = 2
_SEEN = 0.1  # opacity from which on a defect counts as seen


class Sample(NamedTuple):
    """One rendered image.

    Attributes:
        image: ``(H, W, 3)`` uint8.
        mask: ``(H, W)`` uint8, 255 where the defect is and 0 elsewhere.
        defect: Name of the defect, None for a normal image.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    defect: str | None


def render_sample(
    category: str,
    index: int,
    *,
    series: str = "train/good",
    defect: str | None = None,
    seed: int = 0,
    image_size: int = 256,
) -> Sample:
    """Render one image; the same arguments give the same pixels, whatever was rendered before.

    Args:
        category: One of `CATEGORIES`.
        index: Number of the image, 0 or more.
        series: Name of a series of images, such as a folder; two series are independent of each other.
        defect: Name of a defect that the category can have, or None. The defect is added to the very image that None
            gives: outside the mask the two are equal.
        seed: Chooses the product (colours, proportions) and everything else, 0 or more.
        image_size: Pixels a side, at least 64.

    Raises:
        ValueError: If the category is unknown, it cannot have the defect, or the image is too small.
    """
    require_types(render_sample, locals())
    require_at_least(0, index=index, seed=seed)
    facts = get_category(category)
    if defect is not None and defect not in facts.defects:
        msg = f"A {facts.noun} cannot have the defect {defect!r}. Choose one of: {', '.join(facts.defects)}."
        raise ValueError(msg)
    if image_size < MIN_IMAGE_SIZE:
        msg = f"image_size must be at least {MIN_IMAGE_SIZE} pixels, got {image_size}."
        raise ValueError(msg)
    key = f"{category}/{series}"
    design, variation = _generator(seed, category, 0), _generator(seed, f"{key}/scene", index)
    scene = facts.draw(Canvas(image_size * _SUPERSAMPLING, design, variation))
    image = _expose(scene.image, _generator(seed, f"{key}/camera", index))
    if defect is None:
        return Sample(image, np.zeros(image.shape[:2], np.uint8), None)
    layer = DEFECTS[defect](scene, _generator(seed, f"{key}/{defect}", index))
    damaged = _expose(mix(scene.image, layer.colour, layer.alpha), _generator(seed, f"{key}/camera", index))
    seen = _shrink(layer.alpha) > _SEEN
    return Sample(np.where(seen[..., None], damaged, image), np.where(seen, 255, 0).astype(np.uint8), defect)


def _generator(seed: int, name: str, index: int) -> np.random.Generator:
    """Return the generator that belongs to a purpose; Python's own hash would differ from run to run."""
    return np.random.Generator(np.random.PCG64([seed, zlib.crc32(name.encode()), index]))


def _shrink(picture: Array) -> Array:
    """Average blocks of samples into pixels: ``(..., N, N)`` to ``(..., N / 2, N / 2)``."""
    step = _SUPERSAMPLING
    corners = [picture[..., i::step, j::step] for i in range(step) for j in range(step)]
    return np.asarray(sum(corners) / step**2)


def _expose(picture: Array, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Take the photograph: brightness, uneven lighting and sensor noise, ``(3, N, N)`` to ``(H, W, 3)`` uint8."""
    small = _shrink(picture)
    size = small.shape[1]
    x, y = axes(size)
    lamp = rng.uniform(0.95, 1.05) + rng.uniform(-0.04, 0.04) * x + rng.uniform(-0.04, 0.04) * y
    noise = 0.008 * rng.standard_normal((size, size)) + 0.004 * smooth_noise(rng, size, size // 2)
    levels = np.clip(np.rint((small * lamp + noise) * 255.0), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(np.moveaxis(levels, 0, 2))
