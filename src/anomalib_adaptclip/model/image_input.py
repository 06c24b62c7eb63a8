# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From files or arrays to the model's input: the one way for queries and prompts.

Letters: B and K images, H and W pixels of an image, h and w of the model's input.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import nn
from torchvision.transforms.v2 import Resize, Transform

from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.results.geometry import FileGeometry

from .tile_resize import TileResize

_TOLERANCE = 0.005  # of scales: resizing rounds to whole pixels, or patches


class ImageInput:
    """Reads images and brings them into the form that the model takes.

    Args:
        pre_processor: anomalib's pre-processor, whose ``transform`` is applied. Without one images stay as they are.
        reader: Reads files.
        augmentations: What a data module does to its test images before: prompts must look like them.
    """

    def __init__(
        self, pre_processor: nn.Module | None, reader: ImageReader, augmentations: Transform | None = None
    ) -> None:
        self._pre_processor = pre_processor
        self._augmentations = augmentations
        self.reader = reader

    def like_test_images(self, datamodule: LightningDataModule | None) -> "ImageInput":
        """The same, with the augmentations that a data module gives its test images."""
        dataset = getattr(datamodule, "test_data", None)
        return ImageInput(self._pre_processor, self.reader, getattr(dataset, "augmentations", None))

    @property
    def _transform(self) -> Any:  # noqa: ANN401  # torchvision's, or any function
        return getattr(self._pre_processor, "transform", None)  # a checkpoint may bring another one

    @property
    def description(self) -> str:
        """What the model does to images, for what must not outlive a change of it."""
        return repr(self._pre_processor if self._transform is None else self._transform)

    @property
    def prompt_description(self) -> str:
        """What is done to prompts, from the file on."""
        resize = getattr(self._transform, "transforms", [self._transform])[0]
        own = None if repr(self._augmentations) == repr(resize) else self._augmentations  # anomalib adds the resizing
        before = f"{own!r}, then " if own else ""
        white = f" of white {self.reader.white_level:g}" if self.reader.white_level else ""
        return " ".join(f"{before}{self.description}{white}".split())

    @property
    def transforms(self) -> list[Any]:
        """What is done to images, in order."""
        return [transform for transform in (self._augmentations, self._transform) if transform is not None]

    def require_resize_first(self) -> None:
        """Check that a transform that resizes does so first: anomalib's data modules resize before all else.

        Raises:
            ValueError: If another transform comes before.
        """
        steps = getattr(self._transform, "transforms", [self._transform])
        if any(isinstance(step, Resize) for step in steps[1:]) and not isinstance(steps[0], Resize):
            msg = (
                f"The transform of the pre-processor must begin with Resize, because anomalib's data modules resize "
                f"before all else; got {[type(step).__name__ for step in steps]}. Resize first, and crop or pad then."
            )
            raise ValueError(msg)

    def require_whole_images(self) -> None:
        """Check that the model sees whole images, upright: a region of interest is a mask over them.

        Raises:
            ValueError: If something is cropped, padded, turned or warped.
        """
        size = (480, 640)
        geometry = FileGeometry(self.transforms).of(size, size)
        if any(abs(axis.scale - 1) > _TOLERANCE or abs(axis.offset) > 1 for axis in (geometry.down, geometry.across)):
            msg = (
                f"roi is a region of whole images, and the model sees a part of them, or a border around: "
                f"{' '.join(' '.join(map(repr, self.transforms)).split())}. Leave out roi, or what crops and pads."
            )
            raise ValueError(msg)

    @property
    def is_identity(self) -> bool:
        """Whether images stay as they are."""
        return self._transform is None

    @property
    def keeps_sizes(self) -> bool:
        """Whether images of different sizes stay so."""
        steps = getattr(self._transform, "transforms", [self._transform])
        return self.is_identity or any(isinstance(step, TileResize) for step in steps)

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Resize and normalise images ``(B, 3, H, W)`` in [0, 1]: ``(B, 3, h, w)``."""
        return images if self._transform is None else torch.as_tensor(self._transform(images))

    def augment(self, images: torch.Tensor) -> torch.Tensor:
        """Change images ``(B, 3, H, W)`` in [0, 1] as the data module changes its test images."""
        return images if self._augmentations is None else torch.as_tensor(self._augmentations(images))

    def read(self, files: Sequence[str | Path]) -> torch.Tensor:
        """Read and preprocess image files.

        Args:
            files: K image files, at least one.

        Returns:
            ``(K, 3, h, w)``.

        Raises:
            ValueError: If one cannot be read; it is named.
        """
        return torch.cat(
            of_one_size([self.preprocess(self.augment(self.reader.read(file).unsqueeze(0))) for file in files])
        )


def of_one_size(images: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return preprocessed images that are to be put together, as they are.

    Args:
        images: Images, or images with variants, ``(..., h, w)``.

    Raises:
        ValueError: If they have different sizes; these are told.
    """
    sizes = sorted({(image.shape[-2], image.shape[-1]) for image in images})
    if len(sizes) > 1:
        found = ", ".join(f"{height} x {width}" for height, width in sizes)
        msg = (
            f"Images that are taken together must have one size, as normal images must; after the pre-processor they "
            f"have {found}. Give images of one size, or let the pre-processor make them so: tiles as rows and columns "
            "in place of pixels, for instance."
        )
        raise ValueError(msg)
    return images
