# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What all executors have in common."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from anomalib_adaptclip.comparison.outcome import RunOutcome
from anomalib_adaptclip.comparison.sweep import Run


class Executor(Protocol):
    """Makes the runs of a sweep."""

    def connect(self) -> AbstractContextManager[object]:
        """Get hold of what the runs need, until the context ends. What is missing is told before data is prepared."""

    def run(self, runs: Sequence[Run]) -> Iterator[RunOutcome]:
        """Make runs, inside the context of :meth:`connect`.

        Args:
            runs: What to run.

        Yields:
            The outcome of each run as soon as it is through, with its error if it failed.
        """
