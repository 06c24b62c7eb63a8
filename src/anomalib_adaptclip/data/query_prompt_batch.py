# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Items and batches of query-prompt pairs.

Letters: B batch, H and W pixels, N tokens of all layers and the global one, D joint embedding width.
"""

from dataclasses import dataclass
from typing import ClassVar, cast

import torch
from anomalib.data import ImageBatch, ImageItem
from torch.utils.data import default_collate
from torchvision.tv_tensors import Image


@dataclass
class QueryPromptItem(ImageItem):
    """A query, its prompt if it has one, and their tokens if those are stored.

    Attributes:
        category: Category of the query.
        prompt_image: Normal image ``(3, H, W)`` in [0, 1] of the same category.
        prompt_path: File of the prompt.
        has_mask: Whether it is known which pixels of the query are abnormal, a boolean ``()``. Where it is not, the
            mask is empty.
        tokens: Stored tokens of the query ``(N, D)``, in place of ``image``.
        prompt_tokens: Stored tokens of the prompt ``(N, D)``, in place of ``prompt_image``.
    """

    category: str | None = None
    prompt_image: torch.Tensor | None = None
    prompt_path: str | None = None
    has_mask: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    prompt_tokens: torch.Tensor | None = None

    @staticmethod
    def validate_image(image: torch.Tensor | None) -> Image | None:  # type: ignore[override]
        """Check the image, which is absent if its tokens are stored."""
        return None if image is None else ImageItem.validate_image(image)


@dataclass
class QueryPromptBatch(ImageBatch):
    """A batch of :class:`QueryPromptItem`: the same fields with one more dimension B."""

    item_class: ClassVar[type[QueryPromptItem]] = QueryPromptItem

    category: list[str] | None = None
    prompt_image: torch.Tensor | None = None
    prompt_path: list[str] | None = None
    has_mask: torch.Tensor | None = None
    tokens: torch.Tensor | None = None
    prompt_tokens: torch.Tensor | None = None

    @staticmethod
    def validate_image(image: torch.Tensor | None) -> Image | None:
        """Check the images, which are absent if their tokens are stored."""
        return None if image is None else ImageBatch.validate_image(image)

    @property
    def batch_size(self) -> int:
        """Number of queries B."""
        return len(self.image_path or ())

    @classmethod
    def collate(cls, items: list[QueryPromptItem]) -> "QueryPromptBatch":  # type: ignore[override]
        """Collate items to a batch. Images must be of a common size; stored tokens always are."""
        if items[0].image is not None:
            return cast("QueryPromptBatch", super().collate(list[ImageItem](items)))
        fields = {key: [getattr(item, key) for item in items] for key in vars(items[0])}
        present = {key: default_collate(values) for key, values in fields.items() if values[0] is not None}
        return cls(**{"image": None} | present)
