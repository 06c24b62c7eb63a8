# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Runs a sweep on a Ray cluster. Ray is imported only when it is used, for it comes with an extra."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from anomalib_adaptclip.version import __version__

from .run import describe, execute
from .sweep import Run

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


@contextmanager
def ray_cluster(workers: int, accelerator: str, address: str | None = None) -> Iterator[None]:
    """Connect with a Ray cluster, and leave it in the end.

    Args:
        workers: Runs at a time. A Ray that is started here has as many CPUs.
        accelerator: Lightning's accelerator.
        address: Of the cluster. By default that of the variable ``RAY_ADDRESS``, and without it Ray is started on this
            machine, where nobody else can reach it, and stopped in the end.

    Raises:
        ConnectionError: If there is no cluster.
        ValueError: If its workers cannot run what they are to.
    """
    address = address or os.environ.get("RAY_ADDRESS") or "local"
    options: dict[str, Any] = {"logging_level": logging.WARNING, "log_to_driver": False}
    if address == "local":
        options |= {"num_cpus": workers, "include_dashboard": False, "object_store_memory": _STORE_BYTES}
        # Read when Ray is imported: one that is not meant for clusters binds to the loopback interface, on any system.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray  # noqa: PLC0415

    try:
        ray.init(address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        msg = f"There is no Ray cluster to work with at {address}: {error}"
        raise ConnectionError(msg) from error
    try:
        _require_same_package(accelerator)
        yield
    finally:
        ray.shutdown()


def run_on_cluster(runs: Sequence[Run], workers: int, accelerator: str) -> Iterator[dict[str, Any]]:
    """Run a sweep on the cluster that this process is connected with.

    Args:
        runs: What to run.
        workers: Runs at a time, as far as the cluster has room for them.
        accelerator: Lightning's accelerator.

    Yields:
        The row of each run as soon as it is through, its error included if it failed.
    """
    import ray  # noqa: PLC0415

    task = ray.remote(execute_in).options(**_needs(accelerator), max_retries=RETRIES)
    left = iter(runs)
    busy = {task.remote(Path.cwd(), run, accelerator): run for run in islice(left, workers)}
    while busy:
        [done], _ = ray.wait(list(busy), num_returns=1)
        run = busy.pop(done)
        busy |= {task.remote(Path.cwd(), following, accelerator): following for following in islice(left, 1)}
        try:
            yield ray.get(done)
        except ray.exceptions.RayError as error:
            yield describe(run) | {"error": f"{type(error).__name__}: {error}"}


def execute_in(folder: Path, run: Run, accelerator: str) -> dict[str, Any]:
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
