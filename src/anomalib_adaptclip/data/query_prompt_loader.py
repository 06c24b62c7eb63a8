# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The sampler that draws query-prompt pairs, and the loader that can continue in the middle of an epoch."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch.utils.data import DataLoader, DistributedSampler

from .query_prompt_batch import QueryPromptBatch


class Pair(NamedTuple):
    """Index of an item of a query-prompt data set.

    Attributes:
        query: Index of the query.
        prompt: Index of the prompt among the normal images of the query's category.
    """

    query: int
    prompt: int


class QueryPromptSampler(DistributedSampler[Pair]):
    """Shuffle the queries and draw a prompt for each of them, anew in every epoch.

    The draws depend only on seed, epoch and query, not on workers, so that a resumed run continues as if it had not
    been interrupted. All processes share the same draws: together they see what a single process sees, batch by batch.

    Args:
        prompt_counts: Number of prompts that each query may be paired with.
        batch_size: Pairs in a batch of each process. If a single pair is left over at the end of an epoch, it is
            dropped, because batch norm needs two.
        num_replicas: Number of processes.
        rank: Rank of this process.
        seed: Seed of the draws.
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
        """Iterate over the pairs of this process, in the order of the epoch that ``set_epoch`` set."""
        generator = torch.Generator().manual_seed(self.seed * 2**20 + self.epoch)
        order = torch.randperm(len(self.prompt_counts), generator=generator)
        draws = torch.rand(len(order), generator=generator, dtype=torch.float64)
        prompts = (draws * self.prompt_counts[order]).long()
        padded = torch.arange(self.total_size) % len(
            order
        )  # the last round of processes starts over with the first queries
        own = padded[self.rank :: self.num_replicas][self.skipped :]
        return (Pair(query, prompt) for query, prompt in zip(order[own].tolist(), prompts[own].tolist(), strict=True))


class QueryPromptLoader(DataLoader[Any]):
    """Load batches of pairs.

    A checkpoint in the middle of an epoch stores the position, and a resumed run continues with the next batch.
    """

    _start = 0
    _place = 0

    def __iter__(self) -> Iterator[QueryPromptBatch]:  # type: ignore[override]
        """Iterate over the batches of this epoch, starting at the position that was loaded."""
        self._place, self._start = self._start, 0
        cast("QueryPromptSampler", self.sampler).skipped = self._place * (self.batch_size or 1)
        for batch in super().__iter__():
            self._place += 1
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return the number of batches taken in this epoch, and the options that their order depends on."""
        return {"place": self._place, "drawing": self._drawing()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Start the next epoch at the position of a checkpoint.

        Raises:
            ValueError: If the pairs are now drawn in another order, so that the position is meaningless.
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
