# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A region of interest: which part of all images is judged.

Letters: H and W pixels of a mask.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw

from .image_reader import ImageReader

RegionSource = Sequence[float] | Path | str

_SIDE = 1024  # pixels of the mask that a box or a polygon becomes


@dataclass(frozen=True)
class RegionOfInterest:
    """A mask over the whole upright image, of whatever size the image is.

    Attributes:
        size: Height and width of the mask.
        runs: Lengths of runs of pixels outside and inside in turn, row by row, beginning outside: plain data for files.

    Raises:
        ValueError: If the runs do not fill the mask, or nothing is inside.
    """

    size: tuple[int, int]
    runs: tuple[int, ...]

    def __post_init__(self) -> None:
        """Check the runs."""
        inside, pixels = sum(self.runs[1::2]), self.size[0] * self.size[1]
        if min(self.runs, default=-1) < 0 or sum(self.runs) != pixels or inside == 0:
            msg = f"A region of interest of {self.size} pixels needs runs that fill it; got {inside} inside."
            raise ValueError(msg)

    def __str__(self) -> str:
        """How much of the image it is, with eight digits of a hash that tell it from others."""
        digest = hashlib.sha256(f"{self.size} {self.runs}".encode()).hexdigest()
        return f"a region of {sum(self.runs[1::2]) / sum(self.runs):.1%} of the image ({digest[:8]})"

    @classmethod
    def of_mask(cls, mask: torch.Tensor) -> "RegionOfInterest":
        """The region that a mask ``(H, W)`` marks; booleans, or 0 and 1."""
        pixels = mask.bool().flatten().cpu().numpy()
        changes = np.flatnonzero(np.diff(pixels, prepend=False)).tolist()  # where a run begins that is not the first
        edges = pairwise([0, *changes, pixels.size])
        height, width = mask.shape
        return cls((height, width), tuple(end - start for start, end in edges))

    @cached_property
    def mask(self) -> torch.Tensor:
        """The mask ``(H, W)``, true inside; not to be written to."""
        is_inside = np.arange(len(self.runs)) % 2 == 1
        return torch.from_numpy(np.repeat(is_inside, self.runs).reshape(self.size))


def read_region(source: RegionSource | RegionOfInterest | None) -> RegionOfInterest | None:
    """Read a region of interest.

    Args:
        source: Mask file of the images' shape, white inside, black outside; a box: left, top, right and bottom; or a
            polygon: x and y of three corners or more. Boxes and polygons are in shares of width and height, 0 to 1.
            What has been read already stays as it is.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it cannot be read, is no box or polygon, or nothing is inside.
    """
    if source is None or isinstance(source, RegionOfInterest):
        return source
    if not isinstance(source, str | Path):
        return RegionOfInterest.of_mask(_drawn(source))
    path = Path(source)
    if not path.is_file():
        msg = f"There is no mask file {path} for roi. Give a file, white where images are judged, or numbers of a box."
        raise FileNotFoundError(msg)
    reader = ImageReader()
    mask = reader.read_mask(path, 0.5)
    if not mask.any():  # labels 0 and 1, perhaps
        mask = reader.read_mask(path)
    if not mask.any():
        msg = f"The mask {path} of roi is black all over: nothing would be judged. Paint white what is to be judged."
        raise ValueError(msg)
    return RegionOfInterest.of_mask(mask)


def _drawn(numbers: Sequence[float]) -> torch.Tensor:
    """Mask ``(H, W)`` of a box or a polygon."""
    _require_corners(numbers)
    if len(numbers) == 4:
        left, top, right, bottom = (round(number * _SIDE) for number in numbers)
        mask = torch.zeros(_SIDE, _SIDE, dtype=torch.bool)
        mask[top:bottom, left:right] = True
    else:
        mask = torch.from_numpy(np.array(_polygon(np.reshape(numbers, (-1, 2)))))
    if not mask.any():
        msg = f"roi has no area: got {list(numbers)}. A box is left, top, right, bottom; the last two are the larger."
        raise ValueError(msg)
    return mask


def _polygon(corners: npt.NDArray[np.float64]) -> Image.Image:
    image = Image.new("1", (_SIDE, _SIDE))
    if np.linalg.matrix_rank(corners - corners[0]) == 2:  # else all lie on a line, which Pillow would draw
        points = corners * _SIDE - 0.5  # Pillow counts from the middle of the first pixel
        ImageDraw.Draw(image).polygon([*map(tuple, points)], fill=1)
    return image


def _require_corners(numbers: Sequence[float]) -> None:
    if len(numbers) < 4 or len(numbers) % 2:
        msg = (
            "roi is a mask file, a box of four numbers (left, top, right, bottom) or a polygon of six and more "
            f"(x, y of each corner); got {len(numbers)}."
        )
        raise ValueError(msg)
    if not all(0 <= number <= 1 for number in numbers):
        msg = (
            f"roi is in shares of width and height, 0 to 1; got {list(numbers)}. Divide pixels by the width and height "
            "of the image."
        )
        raise ValueError(msg)
