# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Large images in overlapping tiles: where these lie, and how what was found in them becomes one map again.

Not anomalib's ``Tiler``: it cuts all tiles of a batch at once, pads or warps the image to whole strides, and averages
overlaps evenly, which leaves seams.

Letters: B images, T tiles of each, C channels, H and W of an image, h and w of a tile, L patches of a tile.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch.nn.functional import interpolate, max_pool2d

Size = tuple[int, int]

TILE_OVERLAP = 0.25  # where nothing is said
MOST_OVERLAP = 0.75


class Axis(NamedTuple):
    """Tiles along one axis, in patches.

    Attributes:
        length: Length of the image.
        tile: Length of a tile, no more than that.
        starts: First patch of each tile, ascending; the last tile ends with the image.
    """

    length: int
    tile: int
    starts: tuple[int, ...]

    def weights(self, cells: int = 1) -> torch.Tensor:
        """Share of each position of each tile in each position of the image.

        A tile counts most in its middle and fades to its edges like a Hann window, so that no seam is left.

        Args:
            cells: Positions for each patch.

        Returns:
            ``(H, tiles * h)`` in float64, H and h in positions; each row sums up to 1.
        """
        height, tile = self.length * cells, self.tile * cells
        window = torch.hann_window(tile + 2, periodic=False, dtype=torch.float64)[1:-1]
        shares = torch.zeros(height, len(self.starts), tile, dtype=torch.float64)
        for number, start in enumerate(self.starts):
            shares[start * cells : start * cells + tile, number] = window.diag()
        return shares.flatten(1) / shares.sum(dim=(1, 2)).unsqueeze(1)


class Inside(NamedTuple):
    """What of images of one size is judged, where that is not all.

    Attributes:
        pixels: Pixels in the region of interest ``(H, W)``, booleans.
        patches: Patches that have any of them ``(rows, columns)``, booleans.
    """

    pixels: torch.Tensor
    patches: torch.Tensor


class TileLayout(NamedTuple):
    """Where the tiles of images of one size lie: a grid of overlapping ones, counted row by row; whole images are one.

    Attributes:
        down: Vertical axis.
        across: Horizontal axis.
        patch: Height and width of a patch in pixels.
        inside: What is judged; None for all.
    """

    down: Axis
    across: Axis
    patch: Size
    inside: Inside | None = None

    @property
    def tiles(self) -> int:
        """Number T of tiles."""
        return len(self.down.starts) * len(self.across.starts)

    @property
    def grid(self) -> Size:
        """Rows and columns of patches of the whole image."""
        return self.down.length, self.across.length

    @property
    def tile_grid(self) -> Size:
        """Rows and columns of patches of a tile."""
        return self.down.tile, self.across.tile

    def place(self, tile: int) -> Size:
        """Row and column of the first patch of a tile in the image."""
        row, column = divmod(tile, len(self.across.starts))
        return self.down.starts[row], self.across.starts[column]

    def cut(self, images: torch.Tensor, tiles: Sequence[int]) -> torch.Tensor:
        """Some tiles ``(B * tiles, C, h, w)`` of images ``(B, C, H, W)``; those of an image follow one another.

        What is not judged becomes 0, the mean of CLIP's images: it has no say in anything.
        """
        if self.tiles == 1:
            return images if self.inside is None else images.where(self.inside.pixels, 0.0)
        height, width = self.patch
        cut = []
        for top, left in map(self.place, tiles):
            rows = slice(top * height, (top + self.down.tile) * height)
            columns = slice(left * width, (left + self.across.tile) * width)
            tile = images[..., rows, columns]
            cut.append(tile if self.inside is None else tile.where(self.inside.pixels[rows, columns], 0.0))
        return torch.stack(cut, dim=1).flatten(0, 1)

    def patches(self, device: torch.device | None = None) -> torch.Tensor:
        """Row and column in the image of each patch of all tiles: ``(T, L, 2)``."""
        inside = torch.cartesian_prod(torch.arange(self.down.tile), torch.arange(self.across.tile))
        return (torch.tensor([self.place(tile) for tile in range(self.tiles)]).unsqueeze(1) + inside).to(device)

    def prompt_places(self, device: torch.device | None = None) -> torch.Tensor:
        """Row and column in the image of each patch that prompts have of all tiles, those that are judged."""
        places, judged = self.patches(device), self.judged()
        return places.flatten(0, 1) if judged is None else places[judged.to(places.device)]

    def judged(self) -> torch.Tensor | None:
        """Which patches of all tiles are judged: ``(T, L)``; None for all."""
        if self.inside is None:
            return None
        places = self.patches(self.inside.patches.device)
        return self.inside.patches[places[..., 0], places[..., 1]]

    def box(self, patch: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom in pixels of the image of a patch, counted tile by tile."""
        tile, inside = divmod(patch, self.down.tile * self.across.tile)
        (top, left), (row, column), (height, width) = self.place(tile), divmod(inside, self.across.tile), self.patch
        y, x = (top + row) * height, (left + column) * width
        return x, y, x + width, y + height

    def stitch(self, maps: torch.Tensor) -> torch.Tensor:
        """Put maps of tiles together.

        Args:
            maps: ``(B * T, C, h, w)``, tile by tile; h and w are a multiple of the tile's patches.

        Returns:
            ``(B, C, H, W)``. Where tiles overlap it is their mean, weighted by how far inside each of them it lies.
        """
        if self.tiles == 1:
            return maps
        cells = maps.shape[-2] // self.down.tile
        down, across = (axis.weights(cells).to(maps) for axis in (self.down, self.across))
        rows, columns = len(self.down.starts), len(self.across.starts)
        tiles: torch.Tensor = torch.unflatten(maps, 0, (-1, rows, columns)).permute(0, 3, 1, 4, 2, 5)
        return down @ tiles.flatten(2, 3).flatten(3, 4) @ across.T


class Tiling(NamedTuple):
    """How images are cut.

    Attributes:
        tile: Height and width of a tile in pixels of the model's input, multiples of the patch; None for whole images.
        overlap: Share of a tile, at least, that it has in common with the next one.
        patch: Height and width of a patch in pixels.
    """

    tile: Size | None
    overlap: float
    patch: Size

    def layout(self, size: Size, region: torch.Tensor | None = None) -> TileLayout:
        """Where the tiles of images lie.

        Args:
            size: Height and width of the images in pixels, multiples of the patch, and no less than a tile's.
            region: Which part of them is judged, a mask ``(h, w)`` of any size over the whole image; all by default.

        Raises:
            ValueError: If the images are smaller than a tile.
        """
        sides = self.tile or size
        if size[0] < sides[0] or size[1] < sides[1]:
            msg = f"Tiles are {sides[0]} x {sides[1]} pixels, and images of {size[0]} x {size[1]} are smaller."
            raise ValueError(msg)
        down, across = (
            axis(length // patch, side // patch, self.overlap)
            for length, side, patch in zip(size, sides, self.patch, strict=True)
        )
        return TileLayout(down, across, self.patch, None if region is None else _inside(region, size, self.patch))


def _inside(region: torch.Tensor, size: Size, patch: Size) -> Inside:
    pixels = interpolate(region[None, None].float(), size=size, mode="nearest-exact")
    return Inside(pixels[0, 0].bool(), max_pool2d(pixels, patch)[0, 0].bool())


def stride_of(tile: int, overlap: float) -> int:
    """Patches from one tile to the next at most, at least one."""
    return max(1, round(tile * (1 - overlap)))


def axis(length: int, tile: int, overlap: float) -> Axis:
    """Spread as few tiles as overlap enough evenly over an axis.

    Args:
        length: Length of the image in patches.
        tile: Length of a tile in patches.
        overlap: Share of a tile.
    """
    rest = length - tile
    steps = -(-rest // stride_of(tile, overlap))
    return Axis(length, tile, tuple(round(step * rest / max(steps, 1)) for step in range(steps + 1)))


def require_overlap(overlap: float, *, has_tiles: bool) -> None:
    """Check how far tiles overlap.

    Raises:
        ValueError: If it is no such share, or there are no tiles.
    """
    if not 0 <= overlap <= MOST_OVERLAP:
        msg = f"tile_overlap is the share of a tile that the next one repeats, 0 to {MOST_OVERLAP}; got {overlap}."
        raise ValueError(msg)
    if overlap != TILE_OVERLAP and not has_tiles:
        msg = f"tile_overlap={overlap} is for images in tiles, and they are whole. Give tiles, or leave it out."
        raise ValueError(msg)
