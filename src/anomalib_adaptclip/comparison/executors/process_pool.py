# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Makes runs in several processes of this machine."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from typing import Any, cast

import torch

from anomalib_adaptclip.comparison.outcome import RunOutcome
from anomalib_adaptclip.comparison.run import describe, execute
from anomalib_adaptclip.comparison.sweep import Run
from anomalib_adaptclip.files.quiet import is_quiet, quiet_hosts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ProcessPool:
    """The executor with several worker processes. If a worker dies, only the run that it was making is lost.

    ``concurrent.futures.ProcessPoolExecutor`` would lose all runs when a worker is killed, reports no exit code, cannot
    stop a worker in the middle of a run, and leaves its workers behind when the sweep itself is killed.

    Args:
        workers: Number of runs at a time. The workers take turns in the available GPUs.
        accelerator: Lightning's accelerator.
    """

    workers: int
    accelerator: str = "auto"

    def connect(self) -> AbstractContextManager[None]:
        """Return an empty context, because a worker is started only when it gets its first run."""
        return nullcontext()

    def run(self, runs: Sequence[Run]) -> Iterator[RunOutcome]:
        """Make the runs, which are started in order. See :meth:`Executor.run`."""
        left = iter(runs)
        devices = max(1, torch.cuda.device_count())
        busy: dict[Connection, _Worker] = {}
        try:
            for number, run in zip(range(self.workers), left, strict=False):
                worker = _Worker(self.accelerator, number % devices)
                busy[worker.send(run)] = worker
            while busy:
                for ready in wait(list(busy)):
                    worker = busy.pop(cast("Connection", ready))
                    outcome = worker.receive()
                    if (following := next(left, None)) is None:
                        worker.connection.close()
                    else:
                        busy[worker.send(following)] = worker
                    yield outcome
        finally:
            for worker in busy.values():
                worker.process.terminate()


class _Worker:
    """A worker process, which is replaced by a new one when it has died.

    Args:
        accelerator: Lightning's accelerator.
        device: Number of the GPU that the worker uses.
    """

    def __init__(self, accelerator: str, device: int) -> None:
        self._arguments = accelerator, device
        self._run: Run | None = None
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_begin, args=(is_quiet(), _serve, theirs, *self._arguments))
        self.process.start()
        theirs.close()  # so that this process notices when the worker ends

    def send(self, run: Run) -> Connection:
        """Send a run to the worker, and return the connection to wait for."""
        if self.connection.closed:
            self._start()
        self._run = run
        with suppress(OSError):  # a worker that has just died is noticed when its answer is awaited
            self.connection.send(run)
        return self.connection

    def receive(self) -> RunOutcome:
        """Receive the outcome of the run, which is an error if the worker has died."""
        try:
            return cast("RunOutcome", self.connection.recv())
        except (EOFError, OSError):
            self.connection.close()
            self.process.join()
            run = cast("Run", self._run)
            message = f"The worker ended with exit code {self.process.exitcode}."
            logger.info("Failed: %s: %s", run, message)
            return RunOutcome(describe(run, error=message))


def _begin(quiet: bool, serve: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401
    """Print as the sweep's process does, then serve it."""
    if quiet:
        quiet_hosts()
    serve(*arguments)


def _serve(connection: Connection, accelerator: str, device: int) -> None:
    """Make the runs that arrive, until the connection is closed or the sweep has died."""
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            connection.send(execute(connection.recv(), accelerator, device))
