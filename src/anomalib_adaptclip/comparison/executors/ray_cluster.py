# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Makes runs on a Ray cluster. Ray is imported only when it is used, because it is an optional dependency."""

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
from anomalib_adaptclip.files.csv_rows import describe_error
from anomalib_adaptclip.version import __version__

RETRIES = 1  # how often a run whose worker died is repeated before it is recorded as failed
_STORE_BYTES = 128 << 20  # size of Ray's object store, which need hold only the outcomes of runs


def require_ray() -> None:
    """Check that Ray is installed.

    Raises:
        ValueError: If it is not installed.
    """
    if find_spec("ray") is None:
        msg = "The executor ray needs Ray: pip install 'anomalib-adaptclip[ray]'. Or use the executor processes."
        raise ValueError(msg)


@dataclass(frozen=True)
class RayCluster:
    """The executor on a Ray cluster. A run whose worker died is repeated once, and then recorded as failed.

    Args:
        workers: Number of runs at a time, if the cluster has room for them. If Ray is started on this machine, it gets
            this number of CPUs.
        accelerator: Lightning's accelerator.
        address: Address of the cluster. By default the environment variable ``RAY_ADDRESS`` is used. Without it, Ray is
            started on this machine, not reachable from others, and stopped at the end.
    """

    workers: int
    accelerator: str = "auto"
    address: str | None = None

    @contextmanager
    def connect(self) -> Iterator[None]:
        """Connect to the cluster, and disconnect when the context ends.

        Raises:
            ConnectionError: If there is no cluster at the address.
            ValueError: If its workers do not have the same version of this package.
        """
        address = self.address or os.environ.get("RAY_ADDRESS") or "local"
        options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
        if address == "local":
            options |= {"num_cpus": self.workers, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
            # Ray reads this variable when it is imported, and then binds to the loopback interface on all systems.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        import ray  # noqa: PLC0415

        try:
            ray.init(address, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            msg = f"There is no usable Ray cluster at {address}: {error}"
            raise ConnectionError(msg) from error
        try:
            _require_same_package(self.accelerator)
            yield
        finally:
            ray.shutdown()

    def run(self, runs: Sequence[Run]) -> Iterator[RunOutcome]:
        """Make the runs, which are started in order. See :meth:`Executor.run`."""
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
                yield RunOutcome(describe(run, error=describe_error(error)))


def execute_in(folder: Path, run: Run, accelerator: str) -> RunOutcome:
    """Make a run in a folder, to which paths of the sweep may be relative.

    Args:
        folder: Working directory. If the machine does not have it, the current one is kept.
        run: Run to make.
        accelerator: Lightning's accelerator.

    Returns:
        The outcome, as of :func:`execute`.
    """
    with suppress(OSError):
        os.chdir(folder)
    return execute(run, accelerator)


def installed_version() -> str:
    """Return the version of this package on the machine where the function is called."""
    return __version__


def _needs(accelerator: str) -> dict[str, int]:
    """Return the resources of a run: a CPU, and a GPU if the cluster has any. The run sees only this GPU."""
    import ray  # noqa: PLC0415

    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    has_gpus = accelerator != "cpu" and resources.get("GPU", 0) >= 1
    return {"num_cpus": 1, "num_gpus": int(has_gpus)}


def _require_same_package(accelerator: str) -> None:
    """Check that a worker has the same version of this package and everything that it imports."""
    import ray  # noqa: PLC0415

    try:
        theirs = ray.get(ray.remote(installed_version).options(**_needs(accelerator)).remote())
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]  # the lines before it are Ray's own traceback
        msg = f"The workers of the Ray cluster need anomalib-adaptclip {__version__}, but cannot load it: {reason}"
        raise ValueError(msg) from error
    if theirs != __version__:
        msg = (
            f"The workers of the Ray cluster have anomalib-adaptclip {theirs}, this machine has {__version__}. "
            "Install the same version."
        )
        raise ValueError(msg)
