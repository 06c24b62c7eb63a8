# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Pre-processing of images that go through the model in tiles: their size decides how large they become.

Letters: H and W pixels of an image.
"""

from typing import Any

from anomalib.pre_processing import PreProcessor
from torchvision.transforms.v2 import Compose, InterpolationMode, Normalize, Resize, Transform
from torchvision.transforms.v2.functional import resize

from anomalib_adaptclip.clip import CLIP_MEAN, CLIP_STD

from .tiling import Size, stride_of

Tiles = int | tuple[int, int]
MOST = 64  # rows or columns


class TileResize(Transform):  # type: ignore[misc]  # torchvision has no types
    """Scale images such that tiles of a number of pixels get the size of the model's input.

    Args:
        tile: Side of a tile in pixels of the image.
        size: Height and width of the model's input in pixels.
        patch: Side of a patch in pixels; images become multiples of it, and no smaller than the input.
    """

    def __init__(self, tile: int, size: Size, patch: int) -> None:
        super().__init__()
        self.tile, self.size, self.patch = tile, tuple(size), patch

    def extra_repr(self) -> str:
        """The arguments."""
        return f"tile={self.tile}, size={list(self.size)}, patch={self.patch}"

    def scaled(self, image: Size) -> Size:
        """Height and width that an image of H x W pixels becomes."""
        height, width = (
            max(side, round(length * side / self.tile / self.patch) * self.patch)
            for length, side in zip(image, self.size, strict=True)
        )
        return height, width

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:  # noqa: ANN401  # torchvision's names
        """Resize an image, a mask or boxes, each by its kind."""
        del params
        size = getattr(inpt, "canvas_size", None) or (inpt.shape[-2], inpt.shape[-1])
        return resize(inpt, list(self.scaled(size)), interpolation=InterpolationMode.BICUBIC, antialias=True)


def _nothing() -> None:
    """What a checkpoint keeps of a pre-processor with :class:`TileResize`: the model's arguments build it anew.

    anomalib's checkpoints know transforms of its own list alone. A subclass of the pre-processor would stay behind in
    an Engine that goes on with another model: Lightning replaces callbacks by their class.
    """


def _with_statistics(resize_: Transform) -> Compose:
    return Compose([resize_, Normalize(mean=list(CLIP_MEAN), std=list(CLIP_STD))])


def squash_to(size: Size) -> PreProcessor:
    """Anomalib's pre-processor that squashes images to a size, bicubic with antialias, with CLIP's statistics."""
    return PreProcessor(
        transform=_with_statistics(Resize(size, interpolation=InterpolationMode.BICUBIC, antialias=True))
    )


def canvas_of(tiles: Size, tile: Size, overlap: float, patch: int) -> Size:
    """Height and width in pixels of images in rows and columns of tiles.

    Args:
        tiles: Rows and columns.
        tile: Height and width of a tile in pixels.
        overlap: Share of a tile that it has in common with the next one.
        patch: Side of a patch in pixels.
    """
    height, width = (
        side + (count - 1) * stride_of(side // patch, overlap) * patch for count, side in zip(tiles, tile, strict=True)
    )
    return height, width


def tile_pre_processor(tiles: Tiles | None, size: Size, overlap: float, patch: int) -> PreProcessor:
    """The pre-processor for images in tiles, or for whole ones.

    Args:
        tiles: Side of a tile in pixels of the image, or rows and columns; None for whole images.
        size: Height and width of the model's input in pixels.
        overlap: Share of a tile that it has in common with the next one.
        patch: Side of a patch in pixels.
    """
    if isinstance(tiles, int):
        pre_processor = PreProcessor(transform=_with_statistics(TileResize(tiles, size, patch)))
        pre_processor.checkpoint_config = _nothing  # type: ignore[method-assign, assignment]
        return pre_processor
    return squash_to(canvas_of(tiles, size, overlap, patch) if tiles else size)


def require_tiles(tiles: Tiles | None, patch: int, *, has_own_pre_processor: bool) -> None:
    """Check how images are to be cut.

    Raises:
        ValueError: If there are no such tiles, or a pre-processor was given that does not make them.
    """
    if tiles is None:
        return
    if isinstance(tiles, int) and tiles < patch:
        msg = f"tiles is the side of a tile in pixels of the image, {patch} at least, or rows and columns; got {tiles}."
        raise ValueError(msg)
    if not isinstance(tiles, int) and (min(tiles) < 1 or max(tiles) > MOST):
        msg = f"tiles gives rows and columns, 1 to {MOST} each, such as 2 and 3; got {list(tiles)}."
        raise ValueError(msg)
    if has_own_pre_processor:
        msg = f"tiles={tiles} sets the pre-processor: images are resized by their tiles. Leave pre_processor out."
        raise ValueError(msg)
