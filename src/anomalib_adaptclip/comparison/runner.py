# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Runs a sweep, in this process, in several, or on a Ray cluster."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import torch
from anomalib.data import AnomalibDataModule
from anomalib.models.components import AnomalibModule

from anomalib_adaptclip.adapters.adapter_file import PUBLISHED_ADAPTERS
from anomalib_adaptclip.adapters.sources import AUTO, NONE
from anomalib_adaptclip.clip import TINY_WEIGHTS
from anomalib_adaptclip.data import SyntheticDefects
from anomalib_adaptclip.data.check import listing_faults
from anomalib_adaptclip.data.sources import first_few
from anomalib_adaptclip.model.lightning_model import AdaptCLIP

from .components import build, class_of
from .ray_executor import ray_cluster, run_on_cluster
from .run import describe, execute
from .sweep import Run

logger = logging.getLogger(__name__)

Executor = Literal["processes", "ray"]


class _Worker(NamedTuple):
    """A process that runs what it is sent.

    Attributes:
        process: The process.
        device: Its GPU.
        run: What it is at.
    """

    process: SpawnProcess
    device: int
    run: Run


def run_all(
    runs: Sequence[Run],
    workers: int = 1,
    accelerator: str = "auto",
    executor: Executor = "processes",
    ray_address: str | None = None,
) -> Iterator[dict[str, Any]]:
    """Run a sweep.

    Args:
        runs: What to run.
        workers: Runs at a time. Each has a GPU of its own in turn, where there are some.
        accelerator: Lightning's accelerator.
        executor: Where to run: ``"processes"`` of this machine, this one if one will do, or ``"ray"``.
        ray_address: Of the Ray cluster. By default that of ``RAY_ADDRESS``, else one is started on this machine.

    Yields:
        The row of each run as soon as it is through, its error included if it failed.

    Raises:
        ConnectionError: If there is no Ray cluster at the address.
        ValueError: If its workers cannot run what they are to.
    """
    if not runs:
        return
    if executor == "ray":
        with ray_cluster(workers, accelerator, ray_address):  # tells what is wrong before data is downloaded
            _prepare(runs)
            yield from run_on_cluster(runs, workers, accelerator)
        return
    _prepare(runs)
    if workers == 1:
        for run in runs:
            yield execute(run, accelerator)
    else:
        yield from _run_in_processes(runs, workers, accelerator)


def missing_data(runs: Sequence[Run]) -> Iterator[str]:
    """Tell which data sets, categories and adapters of a sweep cannot be read. Nothing is downloaded or drawn.

    Categories that lack the same are told together.

    Args:
        runs: The sweep.

    Yields:
        A sentence each.
    """
    absent: set[tuple[str, Path]] = set()
    alike: dict[tuple[str, str], tuple[str, list[str]]] = {}
    for run, module in _modules(runs):
        root = Path(getattr(module, "root", None) or ".")
        if isinstance(module, SyntheticDefects) or (run.data_set, root) in absent:
            continue
        if not root.is_dir():
            absent.add((run.data_set, root))
            yield f"{run.data_set}: there is no folder {root}"
            continue
        try:
            module.setup()
        except Exception as error:  # noqa: BLE001  # anomalib raises pandas' errors too
            fault = " ".join(listing_faults(module, error))
            kind = (run.data_set, fault.replace(run.category, "") if run.category else fault)
            alike.setdefault(kind, (fault, []))[1].append(run.category)
    for (data_set, _), (fault, (first, *others)) in alike.items():
        rest = f" So it is with {len(others)} other categories: {first_few(others)}" if others else ""
        yield f"{data_set} {first}: {fault}{rest}"
    yield from _missing_adapters(runs)


def _missing_adapters(runs: Sequence[Run]) -> Iterator[str]:
    for model, spec in {run.model: run.model_spec for run in runs}.items():
        source = spec.init_args.get("adapters", AUTO)
        known = {AUTO, NONE, TINY_WEIGHTS, *PUBLISHED_ADAPTERS}
        is_ours = issubclass(class_of(AnomalibModule, spec), AdaptCLIP)  # type: ignore[type-abstract]
        if is_ours and source not in known and not Path(source).is_file():
            yield f"{model}: there is no file of adapters {source}"


def _modules(runs: Sequence[Run]) -> Iterator[tuple[Run, AnomalibDataModule]]:
    """A run and the data module for each category."""
    for run in {(run.data_set, run.category): run for run in runs}.values():
        yield run, build(AnomalibDataModule, run.data_spec)  # type: ignore[type-abstract]


def _prepare(runs: Sequence[Run]) -> None:
    """Download or draw data before several processes want it. What fails, the runs meet again, and record."""
    for run, module in _modules(runs):
        try:
            module.prepare_data()
        except Exception as error:  # noqa: PERF203
            logger.warning("The data of %s cannot be prepared: %s", run.data_set, error)
            logger.debug("Where it failed:", exc_info=True)


def _run_in_processes(runs: Sequence[Run], workers: int, accelerator: str) -> Iterator[dict[str, Any]]:
    left = iter(runs)
    busy: dict[Connection, _Worker] = {}
    devices = max(1, torch.cuda.device_count())
    try:
        for number, run in zip(range(workers), left, strict=False):
            connection, process = _start(accelerator, number % devices)
            _send(connection, run)
            busy[connection] = _Worker(process, number % devices, run)
        while busy:
            for ready in wait(list(busy)):
                connection = cast("Connection", ready)
                yield from _collect(connection, busy.pop(connection), left, busy, accelerator)
    finally:
        for worker in busy.values():
            worker.process.terminate()


def _collect(
    connection: Connection, worker: _Worker, left: Iterator[Run], busy: dict[Connection, _Worker], accelerator: str
) -> Iterator[dict[str, Any]]:
    """Take what a worker found, and give it, or its successor if it died, the next run."""
    process = worker.process
    try:
        row, dead = connection.recv(), False
    except (EOFError, OSError):
        process.join()
        row, dead = describe(worker.run) | {"error": f"The worker ended with exit code {process.exitcode}."}, True
        logger.warning("A worker ended with exit code %s: %s.", process.exitcode, worker.run)
    run = next(left, None)
    if run is None:
        connection.close()
    else:
        if dead:
            connection, process = _start(accelerator, worker.device)
        _send(connection, run)
        busy[connection] = _Worker(process, worker.device, run)
    yield row


def _send(connection: Connection, run: Run) -> None:
    with suppress(OSError):  # a worker that has just died is noticed when its answer is awaited
        connection.send(run)


def _start(accelerator: str, device: int) -> tuple[Connection, SpawnProcess]:
    context = get_context("spawn")
    own, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, accelerator, device))
    process.start()
    theirs.close()  # so that its end is noticed here
    return own, process


def _serve(connection: Connection, accelerator: str, device: int) -> None:
    """Run what comes until nothing does, or the sweep is gone."""
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            connection.send(execute(connection.recv(), accelerator, device))
