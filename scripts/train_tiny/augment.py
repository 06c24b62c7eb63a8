# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Images and query-prompt pairs out of products, much varied, so that more than the generator's own look is learned.

Letters: B images or pairs, N pixels a side. All draws come from torch's global generator.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import affine_grid, avg_pool2d, grid_sample, interpolate

from anomalib_adaptclip.data.rendering import get_category

from .products import NORMAL_SLOTS, SLOTS, TRAINED, Products

TEXTURE = -100  # the class that PyTorch's cross-entropy leaves out
NORMAL_SHARE = 0.6
SYNTHETIC_SHARE = 0.3
TEXTURE_DEFECTS = 0.5


class Images(NamedTuple):
    """A batch of images, normal or with a defect.

    Attributes:
        image: ``(B, 3, N, N)`` in [0, 1].
        mask: 1 where the image is abnormal, ``(B, 1, N, N)``.
        category: Indices into `TRAINED`, ``(B,)``; `TEXTURE` for what was not generated.
    """

    image: torch.Tensor
    mask: torch.Tensor
    category: torch.Tensor


def draw_images(products: Products, count: int, size: int, share: float = 1.0) -> Images:
    """Draw ``count`` varied images of ``size`` pixels a side.

    ``share`` of the side of an image is seen: cut-outs that are as sharp as images of more pixels.
    """
    rows, slots, category = _draw_slots(products, count)
    image, mask = _query(products, rows, slots, _common_frames(category) * share, size, share)
    image, mask = _damage(image, mask)
    (image,) = _recolour(image)
    return Images(_expose(image), (mask > 0.5).float(), category)


def draw_textures(crops: NDArray[np.uint8], count: int, size: int, share: float = 1.0) -> Images:
    """Draw ``count`` varied images out of crops ``(P, N, N, 3)`` of textures, damaged at random."""
    image = _move(_pick_crops(crops, count), _texture_frames(count) * share, size, share)
    image, mask = _damage(image, torch.zeros_like(image[:, :1]), TEXTURE_DEFECTS)
    (image,) = _recolour(image)
    return Images(_expose(image), (mask > 0.5).float(), torch.full((count,), TEXTURE))


def draw_texture_pairs(crops: NDArray[np.uint8], count: int, size: int) -> tuple[Images, torch.Tensor]:
    """Draw ``count`` queries out of crops of textures, half of them damaged, and other views of these as prompts."""
    chosen = _pick_crops(crops, count)
    prompt = _move(chosen, _texture_frames(count), size)
    query = _move(chosen, _texture_frames(count), size)
    query, mask = _damage(query, torch.zeros_like(query[:, :1]), TEXTURE_DEFECTS)
    query, prompt = (_expose(images) for images in _recolour(query, prompt))
    return Images(query, (mask > 0.5).float(), torch.full((count,), TEXTURE)), prompt


def join_images(*parts: Images) -> Images:
    """Put batches together."""
    return Images(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def draw_pairs(products: Products, count: int, size: int, *, varied: bool) -> tuple[Images, torch.Tensor]:
    """Draw ``count`` queries of ``size`` pixels a side, and as many prompts: normal images of the same products.

    If not varied, they keep the look of the generator.
    """
    rows, slots, category = _draw_slots(products, count)
    others = torch.where(slots < NORMAL_SLOTS, NORMAL_SLOTS - 1 - slots, torch.randint(NORMAL_SLOTS, (count,)))
    frames = _common_frames(category)
    query, mask = _query(products, rows, slots, frames, size)
    prompt = _move(_pick(products, rows, others), frames, size)
    if varied:
        query, mask = _damage(query, mask)
        query, prompt = (_expose(images) for images in _recolour(query, prompt))
    return Images(query, (mask > 0.5).float(), category), prompt


def _draw_slots(products: Products, count: int) -> tuple[list[int], torch.Tensor, torch.Tensor]:
    """Which products, which image of each, and their categories."""
    rows = torch.randint(len(products.categories), (count,)).tolist()
    normal = _uniform(count) < NORMAL_SHARE
    slots = torch.where(normal, torch.randint(NORMAL_SLOTS, (count,)), torch.randint(NORMAL_SLOTS, SLOTS, (count,)))
    return rows, slots, torch.tensor([products.categories[row] for row in rows])


def _query(
    products: Products, rows: list[int], slots: torch.Tensor, frames: torch.Tensor, size: int, share: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and their masks, moved alike."""
    masks = np.stack([products.masks[row, slot] for row, slot in zip(rows, slots.tolist(), strict=True)])
    both = torch.cat([_pick(products, rows, slots), torch.from_numpy(masks)[:, None].float()], dim=1)
    moved = _move(both, frames, size, share)
    return moved[:, :3], moved[:, 3:].clamp(0, 1)


def _pick_crops(crops: NDArray[np.uint8], count: int) -> torch.Tensor:
    rows = torch.randint(len(crops), (count,)).tolist()
    return torch.from_numpy(np.stack([crops[row] for row in rows])).movedim(-1, 1).float() / 255


def _uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    return low + (high - low) * torch.rand(*shape)


def _pick(products: Products, rows: list[int], slots: torch.Tensor) -> torch.Tensor:
    images = np.stack([products.images[row, slot] for row, slot in zip(rows, slots.tolist(), strict=True)])
    return torch.from_numpy(images).movedim(-1, 1).float() / 255


def _common_frames(category: torch.Tensor) -> torch.Tensor:
    """Quarter turns, mirroring and zoom that query and prompt share: ``(B, 2, 2)``. Textures are zoomed into."""
    count = len(category)
    texture = torch.tensor([get_category(TRAINED[index]).kind == "texture" for index in category.tolist()])
    return _frames(torch.where(texture, _uniform(count, low=0.6), _uniform(count, low=0.85, high=1.1)))


def _texture_frames(count: int) -> torch.Tensor:
    return _frames(_uniform(count, low=0.6))


def _frames(zoom: torch.Tensor) -> torch.Tensor:
    count = len(zoom)
    mirror = torch.randint(2, (count,)) * 2.0 - 1
    return _rotations(torch.randint(4, (count,)) * torch.pi / 2) * torch.stack([zoom * mirror, zoom], -1)[:, None]


def _rotations(angles: torch.Tensor) -> torch.Tensor:
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)  # (B, 2, 2)


def _move(images: torch.Tensor, frames: torch.Tensor, size: int, share: float = 1.0) -> torch.Tensor:
    """Sample images in their frames, each a little turned, scaled and shifted on its own."""
    count = len(images)
    turn = _rotations(_uniform(count, low=-0.25, high=0.25) * (_uniform(count) < 0.7))
    scale = _uniform(count, 1, 1, low=0.92, high=1.05)
    reach = 0.06 + (1 - share) / 2
    shift = _uniform(count, 2, 1, low=-reach, high=reach)
    grid = affine_grid(torch.cat([frames @ turn * scale, shift], -1), [count, 1, size, size], align_corners=False)
    return grid_sample(images, grid, padding_mode="reflection", align_corners=False)


def _damage(
    images: torch.Tensor, masks: torch.Tensor, share: float = SYNTHETIC_SHARE
) -> tuple[torch.Tensor, torch.Tensor]:
    """Add blobs and cracks of other texture, colour or brightness to this share of the images."""
    count, _, size, _ = images.shape
    field, other = _noise(count, size), _noise(count, size)
    centre = _uniform(count, 2, 1, 1, low=-0.7, high=0.7)
    axis = torch.linspace(-1, 1, size)
    squared = (axis[None, :, None] - centre[:, 0]) ** 2 + (axis[None, None, :] - centre[:, 1]) ** 2
    window = 1 - squared[:, None] / _uniform(count, 1, 1, 1, low=0.08, high=0.6) ** 2
    blob = (window + field) > 0.6
    crack = (other.abs() < _uniform(count, 1, 1, 1, low=0.03, high=0.12)) & (window > 0)
    chosen = torch.where(_uniform(count, 1, 1, 1) < 0.6, blob, crack) & (_uniform(count, 1, 1, 1) < share)
    filling = _filling(images)
    visible = (filling - images).abs().amax(dim=1, keepdim=True) > 0.06
    soft = avg_pool2d(chosen.float(), 3, 1, 1) * _uniform(count, 1, 1, 1, low=0.6)
    return images + soft * (filling - images), torch.maximum(masks, (chosen & visible).float())


def _noise(count: int, size: int) -> torch.Tensor:
    """Smooth noise around 0, ``(B, 1, N, N)``."""
    cells = int(torch.randint(3, 12, (1,)))
    return interpolate(torch.randn(count, 1, cells, cells), size=(size, size), mode="bicubic", align_corners=False)


def _filling(images: torch.Tensor) -> torch.Tensor:
    """What a defect is made of: another image, the same elsewhere, one colour, darker or brighter."""
    count, _, size, _ = images.shape
    kinds = [
        images.roll(1, 0),
        images.roll((size // 3, size // 4), (2, 3)).flip(2),
        _uniform(count, 3, 1, 1).expand_as(images),
        images * _uniform(count, 1, 1, 1, low=0.2, high=0.75),
        (images * _uniform(count, 1, 1, 1, low=1.3, high=2.0)).clamp(max=1),
    ]
    return torch.stack(kinds)[torch.randint(len(kinds), (count,)), torch.arange(count)]


def _recolour(*aligned: torch.Tensor) -> list[torch.Tensor]:
    """Swap channels, or take colour away, in the images of all batches alike."""
    count = len(aligned[0])
    order = torch.rand(count, 3).argsort(dim=1)[:, :, None, None]
    grey = (_uniform(count, 1, 1, 1) < 0.3).float()
    recoloured = []
    for images in aligned:
        swapped = images.gather(1, order.expand_as(images))
        recoloured.append(swapped + grey * (swapped.mean(dim=1, keepdim=True) - swapped))
    return recoloured


def _expose(images: torch.Tensor) -> torch.Tensor:
    """Vary brightness, contrast, colour cast, lighting, sharpness and noise of each image on its own."""
    count, _, size, _ = images.shape
    strength = _uniform(count, 1, 1, 1)
    gamma = torch.exp(strength * _uniform(count, 1, 1, 1, low=-0.35, high=0.35))
    gain = 1 + strength * _uniform(count, 1, 1, 1, low=-0.25, high=0.25)
    cast = 1 + strength * _uniform(count, 3, 1, 1, low=-0.06, high=0.06)
    axis = torch.linspace(-1, 1, size)
    slope = strength * _uniform(count, 2, 1, 1, low=-0.15, high=0.15)
    lighting = 1 + slope[:, :1] * axis[:, None] + slope[:, 1:] * axis
    images = images.clamp(1e-3, 1) ** gamma * gain * cast * lighting
    blur = (_uniform(count, 1, 1, 1) < 0.3).float()
    images = images + blur * (avg_pool2d(images, 3, 1, 1, count_include_pad=False) - images)
    noise = strength * _uniform(count, 1, 1, 1, high=0.04) * torch.randn_like(images)
    return (images + noise).clamp(0, 1)
