# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Runs a sweep in this process, in several processes, or on a Ray cluster."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from anomalib.data import AnomalibDataModule
from anomalib.models.components import AnomalibModule

from anomalib_adaptclip.adapters.adapter_choice import AUTO, NONE
from anomalib_adaptclip.adapters.published_download import PUBLISHED_ADAPTERS
from anomalib_adaptclip.argument_types import require_at_least, require_types
from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.clip import TINY_WEIGHTS
from anomalib_adaptclip.data import SyntheticDefects
from anomalib_adaptclip.data.check import listing_faults
from anomalib_adaptclip.data.messages import abbreviate
from anomalib_adaptclip.model.lightning_model import AdaptCLIP

from .accelerators import require_accelerator
from .components import build, class_of
from .executors import Executor, InProcess, ProcessPool, RayCluster
from .outcome import RunOutcome
from .sweep import Run

logger = logging.getLogger(__name__)

ExecutorName = Literal["processes", "ray"]


def run_all(
    runs: Sequence[Run],
    workers: int = 1,
    accelerator: str = "auto",
    executor: ExecutorName = "processes",
    ray_address: str | None = None,
) -> Iterator[RunOutcome]:
    """Run a sweep.

    Args:
        runs: Runs to make.
        workers: Number of runs at a time. The workers take turns in the available GPUs.
        accelerator: Lightning's accelerator.
        executor: Where to run: in ``"processes"`` of this machine (with one worker, in this process), or on ``"ray"``.
        ray_address: Address of the Ray cluster. By default the environment variable ``RAY_ADDRESS`` is used. Without
            it, Ray is started on this machine.

    Yields:
        The outcome of each run as soon as it has finished, with its error if it failed.

    Raises:
        ConnectionError: If there is no Ray cluster at the address.
        ValueError: If the workers of the Ray cluster do not have the same version of this package.
    """
    require_types(run_all, locals())
    require_at_least(1, workers=workers)
    require_choice("executor", executor, ExecutorName)
    require_accelerator(accelerator)
    if not runs:
        return
    chosen = choose_executor(workers, accelerator, executor, ray_address)
    with chosen.connect():  # first, so that errors are reported before data is downloaded
        _prepare(runs)
        yield from chosen.run(runs)


def choose_executor(workers: int, accelerator: str, executor: ExecutorName, ray_address: str | None = None) -> Executor:
    """Build the executor for the arguments of :func:`run_all`."""
    if executor == "ray":
        return RayCluster(workers, accelerator, ray_address)
    return InProcess(accelerator) if workers == 1 else ProcessPool(workers, accelerator)


def missing_data(runs: Sequence[Run]) -> Iterator[str]:
    """Find data sets, categories and adapters of a sweep that cannot be read. Nothing is downloaded or generated.

    Categories with the same problem are reported together.

    Args:
        runs: Runs of the sweep.

    Yields:
        A sentence for each problem.
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
        rest = f" The same holds for {len(others)} other categories: {abbreviate(others)}" if others else ""
        yield f"{data_set} {first}: {fault}{rest}"
    yield from _missing_adapters(runs)


def _missing_adapters(runs: Sequence[Run]) -> Iterator[str]:
    for model, spec in {run.model: run.model_spec for run in runs}.items():
        source = spec.init_args.get("adapters", AUTO)
        known = {AUTO, NONE, TINY_WEIGHTS, *PUBLISHED_ADAPTERS}
        is_ours = issubclass(class_of(AnomalibModule, spec), AdaptCLIP)  # type: ignore[type-abstract]
        if is_ours and source not in known and not Path(source).is_file():
            yield f"{model}: there is no adapter file {source}"


def _modules(runs: Sequence[Run]) -> Iterator[tuple[Run, AnomalibDataModule]]:
    """Yield one run of each category with its data module."""
    for run in {(run.data_set, run.category): run for run in runs}.values():
        yield run, build(AnomalibDataModule, run.data_spec)  # type: ignore[type-abstract]


def _prepare(runs: Sequence[Run]) -> None:
    """Download or generate data before several processes need it. The runs meet and record any error again."""
    problems: dict[str, list[Exception]] = {}
    for run, module in _modules(runs):
        try:
            module.prepare_data()
        except Exception as error:  # noqa: PERF203
            problems.setdefault(run.data_set, []).append(error)
            logger.debug("Where it failed:", exc_info=True)
    for data_set, (first, *others) in problems.items():
        rest = f" So it is with {len(others)} other categories." if others else ""
        logger.warning("The data of %s cannot be prepared: %s%s", data_set, first, rest)
