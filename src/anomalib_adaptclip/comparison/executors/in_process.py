# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Makes runs in this process, one after the other."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from anomalib_adaptclip.comparison.outcome import RunOutcome
from anomalib_adaptclip.comparison.run import execute
from anomalib_adaptclip.comparison.sweep import Run


@dataclass(frozen=True)
class InProcess:
    """The executor of a single worker. A run that kills its process ends the sweep; :class:`ProcessPool` survives it.

    Args:
        accelerator: Lightning's accelerator.
    """

    accelerator: str = "auto"

    def connect(self) -> AbstractContextManager[None]:
        """Return an empty context, because nothing is needed."""
        return nullcontext()

    def run(self, runs: Sequence[Run]) -> Iterator[RunOutcome]:
        """Make the runs in order. See :meth:`Executor.run`."""
        for run in runs:
            yield execute(run, self.accelerator)
