# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The interface of all executors."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from anomalib_adaptclip.comparison.outcome import RunOutcome
from anomalib_adaptclip.comparison.sweep import Run


class Executor(Protocol):
    """Makes the runs of a sweep."""

    def connect(self) -> AbstractContextManager[object]:
        """Acquire what the runs need until the context ends, and report what is missing before data is prepared."""

    def run(self, runs: Sequence[Run]) -> Iterator[RunOutcome]:
        """Make runs, inside the context of :meth:`connect`.

        Args:
            runs: Runs to make.

        Yields:
            The outcome of each run as soon as it has finished, with its error if it failed.
        """
