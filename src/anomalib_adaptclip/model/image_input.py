# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""From files or arrays to the model's input: the one way for queries and prompts.

Letters: B and K images, H and W pixels of an image, h and w of the model's input.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from anomalib.data import Batch
from torch import nn

from anomalib_adaptclip.files.image_reader import is_sixteen_bit, read_image


class ImageInput:
    """Reads images and brings them into the form that the model takes.

    Args:
        pre_processor: anomalib's pre-processor, whose ``transform`` is applied. Without one images stay as they are.
    """

    def __init__(self, pre_processor: nn.Module | None) -> None:
        self._pre_processor = pre_processor

    @property
    def _transform(self) -> Any:  # noqa: ANN401  # torchvision's, or any function
        return getattr(self._pre_processor, "transform", None)  # a checkpoint may bring another one

    @property
    def description(self) -> str:
        """What is done to images, for what must not outlive a change of it."""
        return repr(self._pre_processor if self._transform is None else self._transform)

    @property
    def is_identity(self) -> bool:
        """Whether images stay as they are."""
        return self._transform is None

    def preprocess(self, images: torch.Tensor) -> torch.Tensor:
        """Resize and normalise images ``(B, 3, H, W)`` in [0, 1]: ``(B, 3, h, w)``."""
        return images if self._transform is None else torch.as_tensor(self._transform(images))

    def read(self, files: Sequence[str | Path]) -> torch.Tensor:
        """Read and preprocess image files.

        Args:
            files: K image files, at least one.

        Returns:
            ``(K, 3, h, w)``.

        Raises:
            ValueError: If one cannot be read; it is named.
        """
        return torch.cat([self.preprocess(read_image(file).unsqueeze(0)) for file in files])

    def reread_sixteen_bit(self, batch: Batch[Any]) -> None:
        """Replace the images of a batch whose files have 16 bits, which anomalib's readers clip to white."""
        images = torch.as_tensor(batch.image)
        for index, path in enumerate(getattr(batch, "image_path", None) or []):
            if is_sixteen_bit(path):
                images[index] = self.read([path])[0].to(images)
