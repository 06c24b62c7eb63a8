# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Query-prompt pairs: items, batches, data sets, and the sampler that draws the pairs.

Letters: B batch, H and W pixels, N tokens of all layers and the global one, D joint embedding width.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, cast

import PIL.Image
import torch
from anomalib.data import AnomalibDataset, ImageBatch, ImageItem
from anomalib.data.utils import LabelName, read_mask
from torch.utils.data import DataLoader, DistributedSampler, default_collate
from torchvision.tv_tensors import Image, Mask

from anomalib_adaptclip.files.images import read_image

from .sources import Samples


@dataclass
class QueryPromptItem(ImageItem):
    """A query, its prompt if it has one, and their tokens where those are known already.

    Attributes:
        category: What the query shows.
        prompt_image: Normal image ``(3, H, W)`` in [0, 1] of the same category.
        prompt_path: Its file.
        tokens: Stored tokens of the query ``(N, D)``, in place of ``image``.
        prompt_tokens: Stored tokens of the prompt ``(N, D)``, in place of ``prompt_image``.
    """

    category: str | None = None
    prompt_image: torch.Tensor | None = None
    prompt_path: str | None = None
    tokens: torch.Tensor | None = None
    prompt_tokens: torch.Tensor | None = None

    @staticmethod
    def validate_image(image: torch.Tensor | None) -> Image | None:  # type: ignore[override]
        """Check the image, which is absent where its tokens are known."""
        return None if image is None else ImageItem.validate_image(image)


@dataclass
class QueryPromptBatch(ImageBatch):
    """A batch of :class:`QueryPromptItem`, with the same fields, one dimension B more."""

    item_class: ClassVar[type[QueryPromptItem]] = QueryPromptItem

    category: list[str] | None = None
    prompt_image: torch.Tensor | None = None
    prompt_path: list[str] | None = None
    tokens: torch.Tensor | None = None
    prompt_tokens: torch.Tensor | None = None

    @staticmethod
    def validate_image(image: torch.Tensor | None) -> Image | None:
        """Check the images, which are absent where their tokens are known."""
        return None if image is None else ImageBatch.validate_image(image)

    @property
    def batch_size(self) -> int:
        """Number of queries B."""
        return len(self.image_path or ())

    @classmethod
    def collate(cls, items: list[QueryPromptItem]) -> "QueryPromptBatch":  # type: ignore[override]
        """Put items into a batch; without images there is nothing to bring to a common size."""
        if items[0].image is not None:
            return cast("QueryPromptBatch", super().collate(list[ImageItem](items)))
        fields = {key: [getattr(item, key) for item in items] for key in vars(items[0])}
        present = {key: default_collate(values) for key, values in fields.items() if values[0] is not None}
        return cls(**{"image": None} | present)


class Pair(NamedTuple):
    """What a query-prompt data set is indexed with.

    Attributes:
        query: Index of the query.
        prompt: Index of the prompt among the normal images of the query's category.
    """

    query: int
    prompt: int


class TokenStore(Protocol):
    """Where tokens of images are stored."""

    def read(self, path: str) -> torch.Tensor:
        """Tokens ``(N, D)`` of an image file."""
        ...


class TargetDataset(AnomalibDataset):
    """The test splits of a data set, all categories together.

    Args:
        samples: Files of the data set.

    Attributes:
        token_store: Where to take tokens from, instead of reading images.
    """

    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self.samples = samples.queries
        self.samples.attrs["task"] = samples.queries.attrs["task"]
        self.token_store: TokenStore | None = None

    def __getitem__(self, index: int) -> QueryPromptItem:
        """Read a query, with its mask, label and category."""
        row = self.samples.iloc[index]
        image = None if self.token_store else Image(read_image(row.image_path))
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
        if row.label_index == LabelName.ABNORMAL:
            return Mask(read_mask(row.mask_path, as_tensor=True))
        return Mask(torch.zeros(_size_of(row.image_path), dtype=torch.uint8))

    def _resized(self, image: Image | None, mask: Mask | None) -> tuple[Image | None, Mask | None]:
        return self.augmentations(image, mask) if self.augmentations else (image, mask)

    @property
    def collate_fn(self) -> Any:  # noqa: ANN401
        """How items become a batch."""
        return QueryPromptBatch.collate


class QueryPromptDataset(TargetDataset):
    """Queries with a prompt each, to be indexed with a :class:`Pair`.

    Args:
        samples: Files of the base data set.
    """

    def __init__(self, samples: Samples) -> None:
        super().__init__(samples)
        self.prompts = samples.prompts

    def __getitem__(self, index: Pair) -> QueryPromptItem:  # type: ignore[override]
        """Read a query and its prompt."""
        item = super().__getitem__(index.query)
        item.prompt_path = self.prompts[str(item.category)][index.prompt]
        if self.token_store:
            item.prompt_tokens = self.token_store.read(item.prompt_path)
        else:
            item.prompt_image, _ = self._resized(Image(read_image(item.prompt_path)), None)
        return item

    def prompt_counts(self) -> list[int]:
        """For each query the number of prompts it may be paired with."""
        counts: Mapping[str, int] = {category: len(files) for category, files in self.prompts.items()}
        return [counts[category] for category in self.samples.category]


class QueryPromptSampler(DistributedSampler[Pair]):
    """Shuffle the queries and draw a prompt for each, anew every epoch.

    The draws depend on seed, epoch and query alone, not on workers, so that a run that was broken off goes on as if it
    had not been. Processes share one drawing: together they see what a single process sees, batch by batch.

    Args:
        prompt_counts: For each query the number of prompts it may be paired with.
        batch_size: Pairs a batch and process. A single one left over at the end of an epoch is passed over: batch
            norms need two.
        num_replicas: Number of processes.
        rank: Of this process.
        seed: Of the draws.
    """

    def __init__(
        self, prompt_counts: Sequence[int], batch_size: int, num_replicas: int = 1, rank: int = 0, seed: int = 0
    ) -> None:
        super().__init__(prompt_counts, num_replicas, rank, shuffle=True, seed=seed)  # type: ignore[arg-type]
        self.prompt_counts = torch.tensor(prompt_counts, dtype=torch.float64)
        if num_replicas == 1 and len(prompt_counts) % batch_size == 1:
            self.num_samples = self.total_size = len(prompt_counts) - 1
        self.skipped = 0

    def __iter__(self) -> Iterator[Pair]:
        """Pairs of this process, in the order of this epoch; ``set_epoch`` sets it."""
        generator = torch.Generator().manual_seed(self.seed * 2**20 + self.epoch)
        order = torch.randperm(len(self.prompt_counts), generator=generator)
        draws = torch.rand(len(order), generator=generator, dtype=torch.float64)
        prompts = (draws * self.prompt_counts[order]).long()
        padded = torch.arange(self.total_size) % len(order)  # the last round of processes starts over
        own = padded[self.rank :: self.num_replicas][self.skipped :]
        return (Pair(query, prompt) for query, prompt in zip(order[own].tolist(), prompts[own].tolist(), strict=True))


class QueryPromptLoader(DataLoader[Any]):
    """Batches of pairs. A checkpoint in mid-epoch holds the place, and training goes on with the next batch."""

    _start = 0
    _place = 0

    def __iter__(self) -> Iterator[QueryPromptBatch]:  # type: ignore[override]
        """Batches of this epoch, from the place that was loaded on."""
        self._place, self._start = self._start, 0
        cast("QueryPromptSampler", self.sampler).skipped = self._place * (self.batch_size or 1)
        for batch in super().__iter__():
            self._place += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Batches of this epoch that were taken, and what they depend on."""
        return {"place": self._place, "drawing": self._drawing()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Begin the next epoch at the place of a checkpoint.

        Raises:
            ValueError: If the pairs are drawn in another way now, so that the place means nothing.
        """
        self._start = state["place"] % len(self)
        if self._start and state["drawing"] != self._drawing():
            msg = (
                f"The checkpoint is of the middle of an epoch drawn with {state['drawing']}, and now it is "
                f"{self._drawing()}. Give the data module the options of that run, or take the checkpoint of an epoch."
            )
            raise ValueError(msg)

    def _drawing(self) -> dict[str, int | None]:
        sampler = cast("QueryPromptSampler", self.sampler)
        replicas = sampler.num_replicas
        queries = len(sampler.prompt_counts)
        return {"seed": sampler.seed, "batch_size": self.batch_size, "processes": replicas, "queries": queries}


def _size_of(path: str) -> tuple[int, int]:
    with PIL.Image.open(path) as image:
        return image.height, image.width
