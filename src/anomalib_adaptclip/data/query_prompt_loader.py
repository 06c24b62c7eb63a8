# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The sampler that draws query-prompt pairs, and the loader that can continue in the middle of an epoch."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch.utils.data import DataLoader, DistributedSampler

from .query_prompt_batch import QueryPromptBatch


class Pair(NamedTuple):
    """What a query-prompt data set is indexed with.

    Attributes:
        query: Index of the query.
        prompt: Index of the prompt among the normal images of the query's category.
    """

    query: int
    prompt: int


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
