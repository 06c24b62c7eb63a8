# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Makes runs on a Ray cluster. Ray is imported only when it is used, for it comes with an extra."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from anomalib_adaptclip.comparison.outcome import RunOutcome
from anomalib_adaptclip.comparison.run import describe, execute
from anomalib_adaptclip.comparison.sweep import Run
from anomalib_adaptclip.version import __version__

RETRIES = 1  # of a run whose worker died; then it is recorded as failed
_STORE_BYTES = 128 << 20  # of Ray's object store, in which nothing but rows will lie


def require_ray() -> None:
    """Check that Ray is installed.

    Raises:
        ValueError: If it is not.
    """
    if find_spec("ray") is None:
        msg = "The executor ray needs Ray: pip install 'anomalib-adaptclip[ray]'. Or use processes."
        raise ValueError(msg)


@dataclass(frozen=True)
class RayCluster:
    """The executor on a Ray cluster. A run whose worker died is made once more, and then recorded as failed.

    Args:
        workers: Runs at a time, as far as the cluster has room for them. A Ray that is started here has as many CPUs.
        accelerator: Lightning's accelerator.
        address: Address of the cluster. By default that of the variable ``RAY_ADDRESS``, and without it Ray is started
            on this machine, where nobody else can reach it, and stopped in the end.
    """

    workers: int
    accelerator: str = "auto"
    address: str | None = None

    @contextmanager
    def connect(self) -> Iterator[None]:
        """Connect with the cluster, and leave it in the end.

        Raises:
            ConnectionError: If there is no cluster.
            ValueError: If its workers cannot run what they are to.
        """
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
        if address == "local":
            options |= {"num_cpus": self.workers, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
            # Read when Ray is imported: one that is not meant for clusters binds to the loopback interface everywhere.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        import ray  # noqa: PLC0415

        try:
            ray.init(address, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            msg = f"There is no Ray cluster to work with at {address}: {error}"
            raise ConnectionError(msg) from error
        try:
            _require_same_package(self.accelerator)
            yield
        finally:
            ray.shutdown()

    def run(self, runs: Sequence[Run]) -> Iterator[RunOutcome]:
        """Make the runs, started in order. See :meth:`Executor.run`."""
        import ray  # noqa: PLC0415

        task = ray.remote(execute_in).options(**_needs(self.accelerator), max_retries=RETRIES)
        left = iter(runs)
        busy = {task.remote(Path.cwd(), run, self.accelerator): run for run in islice(left, self.workers)}
        while busy:
            [done], _ = ray.wait(list(busy), num_returns=1)
            run = busy.pop(done)
            busy |= {task.remote(Path.cwd(), following, self.accelerator): following for following in islice(left, 1)}
            try:
                yield ray.get(done)
            except ray.exceptions.RayError as error:
                yield RunOutcome(describe(run, error=f"{type(error).__name__}: {error}"))


def execute_in(folder: Path, run: Run, accelerator: str) -> RunOutcome:
    """Run in a folder, which the paths of a sweep may be relative to, if the machine has it. As :func:`execute`."""
    with suppress(OSError):
        os.chdir(folder)
    return execute(run, accelerator)


def installed_version() -> str:
    """Version of this package where the function is called."""
    return __version__


def _needs(accelerator: str) -> dict[str, int]:
    """What a run takes of the cluster: a GPU if it has some, which then is the only one that the run sees."""
    import ray  # noqa: PLC0415

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    has_gpus = accelerator != "cpu" and resources.get("GPU", 0) >= 1
    return {"num_cpus": 1, "num_gpus": int(has_gpus)}


def _require_same_package(accelerator: str) -> None:
    """Check that a worker has this package, and all that it imports."""
    import ray  # noqa: PLC0415

    try:
        theirs = ray.get(ray.remote(installed_version).options(**_needs(accelerator)).remote())
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]  # before it come the paths of Ray's machinery
        msg = f"The workers of the Ray cluster need anomalib-adaptclip {__version__}, and cannot load it: {reason}"
        raise ValueError(msg) from error
    if theirs != __version__:
        msg = (
            f"The workers of the Ray cluster have anomalib-adaptclip {theirs}, here is {__version__}. Install the same."
        )
        raise ValueError(msg)
