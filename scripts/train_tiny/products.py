# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Generated products to train the backbone on, rendered once into memory-mapped files.

A product has two normal images and two with a defect. Letters: P products, N pixels a side.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from anomalib_adaptclip.data.rendering import CATEGORIES, get_category, render_sample

HELD_OUT = ("wood", "marble", "weave", "capsule", "hex_nut", "coin")
TRAINED = tuple(name for name in CATEGORIES if name not in HELD_OUT)
NORMAL_SLOTS, SLOTS = 2, 4
FIRST_SEED = 1000  # no seed that a user is likely to draw
SIDE = 224


class Products(NamedTuple):
    """What was rendered.

    Attributes:
        images: ``(P, 4, N, N, 3)`` uint8: two normal images, two with a defect.
        masks: ``(P, 4, N, N)`` booleans.
        categories: Of each product, an index into `TRAINED`.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    categories: list[int]


def render_products(folder: Path, count: int, workers: int) -> None:
    """Render ``count`` products of each category into ``folder``, unless that was finished before."""
    index = folder / "categories.json"
    if index.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(category, number) for number in range(count) for category in range(len(TRAINED))]
    images = open_memmap(folder / "images.npy", "w+", np.uint8, (len(jobs), SLOTS, SIDE, SIDE, 3))
    masks = open_memmap(folder / "masks.npy", "w+", np.bool_, (len(jobs), SLOTS, SIDE, SIDE))
    with ProcessPoolExecutor(workers) as executor:
        for row, (image, mask) in enumerate(executor.map(_render_product, jobs, chunksize=8)):
            images[row], masks[row] = image, mask
    images.flush()
    masks.flush()
    index.write_text(json.dumps([category for category, _ in jobs]))  # last: it says that all is there


def open_products(folder: Path) -> Products:
    """Open what :func:`render_products` wrote."""
    categories = json.loads((folder / "categories.json").read_text())
    return Products(np.load(folder / "images.npy", "r"), np.load(folder / "masks.npy", "r"), categories)


def _render_product(job: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    category, number = job
    samples = [
        render_sample(
            TRAINED[category], slot, series="pretrain", defect=defect, seed=FIRST_SEED + number, image_size=SIDE
        )
        for slot, defect in enumerate(_defects(category, number))
    ]
    return np.stack([sample.image for sample in samples]), np.stack([sample.mask > 0 for sample in samples])


def _defects(category: int, number: int) -> Iterator[str | None]:
    """None for the normal slots, then the category's defects in turn, from product to product."""
    known = get_category(TRAINED[category]).defects
    for slot in range(SLOTS):
        yield None if slot < NORMAL_SLOTS else known[(NORMAL_SLOTS * number + slot) % len(known)]
