# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Data sets of queries, with and without a prompt for each.

Letters: B batch, H and W pixels, N tokens of all layers and the global one, D joint embedding width.
"""

from typing import Any, Protocol

import torch
from anomalib.data import AnomalibDataset
from anomalib.data.utils import LabelName
from torchvision.tv_tensors import Image, Mask

from anomalib_adaptclip.files.image_reader import ImageReader

from .data_source import DataSetSamples
from .query_prompt_batch import QueryPromptBatch, QueryPromptItem
from .query_prompt_loader import Pair


class TokenStore(Protocol):
    """A store of image tokens."""

    def read(self, path: str) -> torch.Tensor:
        """Read the tokens ``(N, D)`` of an image file."""
        ...


class TargetDataset(AnomalibDataset):
    """The test splits of a data set, all categories together.

    Args:
        samples: Files of the data set.

    Attributes:
        reader: Reads images and masks. A model that uses the data set sets its own.
        token_store: Store to read tokens from instead of images; None to read images.
    """

    def __init__(self, samples: DataSetSamples) -> None:
        super().__init__()
        self.samples = samples.queries
        self.samples.attrs["task"] = samples.queries.attrs["task"]
        self.reader = ImageReader()
        self.token_store: TokenStore | None = None

    def __getitem__(self, index: int) -> QueryPromptItem:
        """Read a query, with its mask, label and category."""
        row = self.samples.iloc[index]
        image = None if self.token_store else Image(self.reader.read(row.image_path))
        image, mask = self._resized(image, self._read_mask(row))
        return QueryPromptItem(
            image=image,
            gt_mask=mask,
            gt_label=torch.tensor(row.label_index),
            image_path=row.image_path,
            mask_path=row.mask_path or None,
            category=row.category,
            tokens=self.token_store.read(row.image_path) if self.token_store else None,
        )

    def _read_mask(self, row: Any) -> Mask | None:  # noqa: ANN401
        if self.samples.attrs["task"] != "segmentation":
            return None
        if row.label_index == LabelName.ABNORMAL and row.has_mask:
            return self.reader.read_mask(row.mask_path)
        return Mask(torch.zeros(self.reader.size(row.image_path), dtype=torch.uint8))

    def _resized(self, image: Image | None, mask: Mask | None) -> tuple[Image | None, Mask | None]:
        return self.augmentations(image, mask) if self.augmentations else (image, mask)

    @property
    def collate_fn(self) -> Any:  # noqa: ANN401
        """Function that collates items to a batch."""
        return QueryPromptBatch.collate


class QueryPromptDataset(TargetDataset):
    """Queries with a prompt for each; items are indexed by a :class:`Pair`.

    Args:
        samples: Files of the base data set.
    """

    def __init__(self, samples: DataSetSamples) -> None:
        super().__init__(samples)
        self.prompts = samples.prompts

    def __getitem__(self, index: Pair) -> QueryPromptItem:  # type: ignore[override]
        """Read a query and its prompt."""
        item = super().__getitem__(index.query)
        item.has_mask = torch.tensor(bool(self.samples.has_mask.iloc[index.query]))
        item.prompt_path = self.prompts[str(item.category)][index.prompt]
        if self.token_store:
            item.prompt_tokens = self.token_store.read(item.prompt_path)
        else:
            item.prompt_image, _ = self._resized(Image(self.reader.read(item.prompt_path)), None)
        return item

    def prompt_counts(self) -> list[int]:
        """Return the number of prompts that each query may be paired with."""
        counts = {category: len(files) for category, files in self.prompts.items()}
        return [counts[category] for category in self.samples.category]
