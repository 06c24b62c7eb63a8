# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From the pixels of the model's map back to those of the upright image file, through whatever was done to the image.

Letters: H and W pixels of the file, h and w of the map.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import grid_sample
from torchvision.tv_tensors import BoundingBoxes, BoundingBoxFormat

Size = tuple[int, int]
Box = tuple[int, int, int, int]

_PROBES = ((0.499, 0.499), (0.501, 0.501), (0.501, 0.499))  # in the middle, where a crop leaves them
_HALF = 1e-4  # half the side of a probe, as a share of the image
_TOLERANCE = 1e-6


class Axis(NamedTuple):
    """One axis of the way from file to map: ``map = scale * file + offset``, both in pixels."""

    scale: float
    offset: float

    def to_file(self, position: float) -> float:
        """Position in the file, in pixels, not bounded by it."""
        return (position - self.offset) / self.scale


class Geometry(NamedTuple):
    """Where the map of one image lies in its file.

    Attributes:
        size: Height and width of the file.
        down: Vertical axis.
        across: Horizontal axis.
    """

    size: Size
    down: Axis
    across: Axis

    def box_to_file(self, left: float, top: float, right: float, bottom: float) -> Box | None:
        """Smallest box of whole pixels of the file around a box of the map; None if it lies beside the file.

        Right and bottom are exclusive.
        """
        height, width = self.size
        x0, x1 = _bounded(self.across.to_file(left), self.across.to_file(right), width)
        y0, y1 = _bounded(self.down.to_file(top), self.down.to_file(bottom), height)
        return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None

    def resized(self, size: Size) -> "Geometry":
        """Geometry of the file scaled to a height and a width in pixels."""
        down, across = self.size[0] / size[0], self.size[1] / size[1]
        return Geometry(
            size,
            self.down._replace(scale=self.down.scale * down),
            self.across._replace(scale=self.across.scale * across),
        )

    def pixels_of(self, marked: npt.NDArray[np.bool_], corner: tuple[int, int], box: Box) -> npt.NDArray[np.bool_]:
        """Pixels of the file that marked pixels of the map reach into.

        Args:
            marked: Part of a map, of any size.
            corner: Left and top of the part in the map.
            box: Part of the file, as of :meth:`box_to_file`.

        Returns:
            As large as the box.
        """
        left, top, right, bottom = box
        rows = _reached(marked, self.down, corner[1], range(top, bottom), self.size[0])
        columns = _reached(rows.T, self.across, corner[0], range(left, right), self.size[1])
        return np.asarray(columns.T, np.bool_)

    def to_file(self, values: torch.Tensor, outside: float = 0.0) -> torch.Tensor:
        """Bring a map to the file's size, bilinear.

        Args:
            values: ``(h, w)``, floats.
            outside: Value of pixels that the model did not see, beside a crop.

        Returns:
            ``(H, W)``.
        """
        rows = _sampled(self.down, self.size[0], values.shape[0])
        columns = _sampled(self.across, self.size[1], values.shape[1])
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        grid = torch.stack([x, y], dim=-1)[None].float()
        image = grid_sample(values[None, None].float(), grid, padding_mode="border", align_corners=False)[0, 0]
        return torch.where((grid[0].abs() <= 1).all(dim=-1), image, outside)


class FileGeometry:
    """Finds the geometry of files that went through transforms.

    Args:
        transforms: What was done to the upright images, in order; None among them does nothing.
    """

    def __init__(self, transforms: Iterable[Callable[..., Any] | None] = ()) -> None:
        self.transforms = [transform for transform in transforms if transform is not None]
        self._known: dict[tuple[Size, Size], Geometry] = {}

    def require_regular(self) -> None:
        """Check that the transforms only resize, crop and pad.

        Raises:
            ValueError: If they do not.
        """
        self.of((480, 640), (480, 640))

    def of(self, file: Size, map_size: Size) -> Geometry:
        """Geometry of an image.

        Args:
            file: Height and width of the upright file.
            map_size: Height and width of its map.

        Raises:
            ValueError: If the transforms turn, mirror or warp images, or do another thing each time.
        """
        if (file, map_size) not in self._known:
            self._known[file, map_size] = self._find(file, map_size)
        return self._known[file, map_size]

    def _find(self, file: Size, map_size: Size) -> Geometry:
        if not self.transforms:
            height, width = map_size
            return Geometry(file, Axis(height / file[0], 0), Axis(width / file[1], 0))
        before = [(y * file[0], x * file[1]) for y, x in _PROBES]
        after = self._moved(before, file, map_size)
        down = _axis([before[0][0], before[1][0]], [after[0][0], after[1][0]])
        across = _axis([before[0][1], before[1][1]], [after[0][1], after[1][1]])
        expected = [(down.scale * y + down.offset, across.scale * x + across.offset) for y, x in before]
        is_regular = min(down.scale, across.scale) > 0 and self._moved(before, file, map_size) == after
        if not (is_regular and _are_close(expected, after, _TOLERANCE * max(map_size))):
            names = " ".join(" ".join(map(repr, self.transforms)).split())
            msg = (
                f"Regions cannot be brought back to the image file through {names}: these turn, mirror or "
                "warp images, or change them at random. Use transforms that resize, crop or pad."
            )
            raise ValueError(msg)
        return Geometry(file, down, across)

    def _moved(self, points: Sequence[tuple[float, float]], file: Size, map_size: Size) -> list[tuple[float, float]]:
        """Where the transforms move points (y, x) to, in pixels of the map."""
        dy, dx = _HALF * file[0], _HALF * file[1]
        corners = torch.tensor([[x - dx, y - dy, x + dx, y + dy] for y, x in points], dtype=torch.float64)
        boxes: Any = BoundingBoxes(corners, format=BoundingBoxFormat.XYXY, canvas_size=file)
        image: Any = torch.zeros(1, *file)  # some transforms want an image beside boxes
        for transform in self.transforms:
            image, boxes = transform(image, boxes)
        height, width = boxes.canvas_size
        middles = torch.as_tensor(boxes).view(-1, 2, 2).mean(dim=1)
        return [(y * map_size[0] / height, x * map_size[1] / width) for x, y in middles.tolist()]


def _axis(before: Sequence[float], after: Sequence[float]) -> Axis:
    scale = (after[1] - after[0]) / (before[1] - before[0])
    return Axis(scale, after[0] - scale * before[0])


def _are_close(found: Sequence[Sequence[float]], expected: Sequence[Sequence[float]], tolerance: float) -> bool:
    return bool((torch.tensor(found) - torch.tensor(expected)).abs().max() <= tolerance)


def _bounded(first: float, last: float, length: int) -> tuple[int, int]:
    """Whole pixels around an interval, within the file. What rounding adds does not count as a pixel."""
    slack = _TOLERANCE * length
    return max(0, math.floor(first + slack)), min(length, math.ceil(last - slack))


def _reached(
    marked: npt.NDArray[np.bool_], axis: Axis, start: int, pixels: range, length: int
) -> npt.NDArray[np.bool_]:
    """For each row of pixels of the file, whether one of the rows of the map in it is marked; in bounds of the map."""
    slack = _TOLERANCE * length
    near = np.asarray(pixels)
    first = np.floor((near + slack) * axis.scale + axis.offset).astype(int) - start
    last = np.ceil((near + 1 - slack) * axis.scale + axis.offset).astype(int) - start
    sums = np.concatenate([np.zeros_like(marked[:1], np.int32), marked.cumsum(axis=0, dtype=np.int32)])
    first, last = (bound.clip(0, len(marked)) for bound in (first, last))
    reached: npt.NDArray[np.bool_] = sums[last] > sums[first]
    return reached


def _sampled(axis: Axis, pixels: int, map_pixels: int) -> torch.Tensor:
    """Where the map is read for each pixel of the file, from -1 to 1 on the map."""
    centres = (torch.arange(pixels, dtype=torch.float64) + 0.5) * axis.scale + axis.offset
    return centres / map_pixels * 2 - 1
