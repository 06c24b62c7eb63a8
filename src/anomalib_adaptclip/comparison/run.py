# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Makes a single run of a comparison, in an Engine of its own."""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from anomalib import LearningType
from anomalib.data import AnomalibDataModule
from anomalib.models.components import AnomalibModule
from anomalib.post_processing import PostProcessor
from lightning import seed_everything
from lightning.pytorch.trainer.states import TrainerFn

from anomalib_adaptclip.data.check import listing_faults
from anomalib_adaptclip.files.csv_rows import describe_error
from anomalib_adaptclip.files.quiet import silenced, without_bars
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.prompts.selection import prompts_from_datamodule
from anomalib_adaptclip.version import __version__

from .components import build, class_of, relative_path, takes
from .curves import pack_curves
from .evaluation import ComparisonEvaluator
from .gallery import GalleryCallback
from .interruption import is_interruption
from .outcome import RunOutcome
from .run_row import RunRow
from .seeds import keep_generators
from .stopwatch import Stopwatch
from .sweep import Run
from .views import by_view

logger = logging.getLogger(__name__)

_PACKAGES = ("anomalib", "torch", "open_clip_torch", "lightning")
_MEBIBYTE = 1 << 20


def execute(run: Run, accelerator: str = "auto", device: int = 0) -> RunOutcome:
    """Make a run, and turn any error into an outcome.

    Args:
        run: Run to make.
        accelerator: Lightning's accelerator.
        device: Number of the GPU to use, if there is any.

    Returns:
        The outcome with metrics, or with the error.

    Raises:
        KeyboardInterrupt: If the user interrupted the run.
    """
    try:
        cells = fit_and_test(run, accelerator, device)
        gallery, curves = cells.pop("gallery", b""), cells.pop("curves", b"")
        return RunOutcome(describe(run, **cells), gallery, curves)
    except BaseException as error:  # no error of one run may stop the others, nor may an exit
        if is_interruption(error):
            raise KeyboardInterrupt from error
        message = describe_error(error)
        logger.info("Failed: %s: %s", run, message)  # whoever asked for the run gets the error, and tells it
        logger.debug("Where it failed:", exc_info=True)
        return RunOutcome(describe(run, error=message))


def describe(run: Run, **cells: Any) -> RunRow:  # noqa: ANN401
    """Build the row of a run.

    Args:
        run: The run.
        **cells: Results by column: metrics and costs, or the error.

    Raises:
        ValueError: If a metric is not in [0, 1].
    """
    versions = {"anomalib-adaptclip": __version__} | {name: version(name) for name in _PACKAGES}
    return RunRow(
        model=run.model,
        data_set=run.data_set,
        category=run.category,
        shots=str(run.shots),
        seed=run.seed,
        finished=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        versions=" ".join(f"{name}={number}" for name, number in versions.items()),
        categories=json.dumps(run.categories) if run.categories else "",
        configuration=run.configuration,
        **cells,
    )


@keep_generators()
def fit_and_test(run: Run, accelerator: str, device: int) -> dict[str, Any]:
    """Fit the model, if it needs that, and test it.

    If normal images are drawn, they are drawn for each camera view of a data set, and each view has its own model. The
    metrics cover all views together.

    Args:
        run: Run to make.
        accelerator: Lightning's accelerator.
        device: Number of the GPU to use, if there is any.

    Returns:
        Metrics and costs by column, and under ``gallery`` and ``curves`` the content of files with pictures and curves,
        empty without any.

    Raises:
        ValueError: If data is missing, there are fewer normal images than shots, or scores are not finite.
        KeyboardInterrupt: If the user interrupted the fit.
    """
    seed_everything(run.seed, workers=True, verbose=False)
    datamodule = read_data(run)
    draws = run.shots not in {0, "full"}
    evaluator = ComparisonEvaluator(run.pixel_size)
    uses_gpu = accelerator != "cpu" and torch.cuda.is_available()
    trainer: dict[str, Any] = {"accelerator": accelerator, "devices": [device] if uses_gpu else 1}
    prompts: list[str] = []
    done: list[_PartResult] = []
    _reset_peak_memory()
    for part in by_view(datamodule) if draws else [datamodule]:
        drawn = prompts_from_datamodule(part, int(run.shots), run.seed) if draws else []
        done.append(_fit_and_test(run, part, drawn, evaluator, trainer))
        prompts += drawn
    return {
        **evaluator.scores(),
        "images": evaluator.images,
        "prompts": json.dumps([relative_path(path, datamodule) for path in prompts]),
        "adapters": done[0].adapters,
        "leakage": "yes" if done[0].leakage else "",
        "fit_seconds": round(sum(part.fit_seconds for part in done), 2),
        "test_seconds": round(sum(part.test_seconds for part in done), 2),
        "image_seconds": _seconds_per_image(done),
        "peak_memory_mb": _peak_memory(),
        "device": torch.cuda.get_device_name(device) if uses_gpu else "cpu",
        "gallery": done[0].pictures or b"",
        "curves": pack_curves(curves) if (curves := evaluator.curves()) else b"",
    }


def read_data(run: Run) -> AnomalibDataModule:
    """Build the data module of a run, and set it up.

    Args:
        run: Run whose data is needed.

    Raises:
        ValueError: If its images cannot be listed. The message says what is missing.
    """
    datamodule = build(AnomalibDataModule, run.data_spec)  # type: ignore[type-abstract]
    datamodule.prepare_data()
    try:
        datamodule.setup(TrainerFn.FITTING)  # the trainer's stage, so that it does not set up again and undo changes
    except Exception as error:  # anomalib raises pandas' errors too
        msg = f"{' '.join(filter(None, (run.data_set, run.category)))}: {' '.join(listing_faults(datamodule, error))}"
        raise ValueError(msg) from error
    return datamodule


class _PartResult(NamedTuple):
    """Result of testing a model on a camera view, or on all data if it is not divided by view.

    Attributes:
        fit_seconds: Seconds that the fit took.
        test_seconds: Seconds that the test took.
        later_seconds: Seconds that all test batches after the first took.
        later_images: Number of images in those batches.
        adapters: Source of AdaptCLIP's adapters, empty for other models.
        leakage: Whether these adapters were trained on the data under test.
        pictures: Content of a file with pictures for the report, or None without pictures.
    """

    fit_seconds: float
    test_seconds: float
    later_seconds: float
    later_images: int
    adapters: str
    leakage: bool
    pictures: bytes | None


def _fit_and_test(
    run: Run,
    datamodule: AnomalibDataModule,
    prompts: list[str],
    evaluator: ComparisonEvaluator,
    trainer: dict[str, Any],
) -> _PartResult:
    from anomalib.engine import Engine  # noqa: PLC0415  imports all models

    seed_everything(run.seed, workers=True, verbose=False)  # again, so that all views begin with the same weights
    model = build_model(run)
    if prompts and not isinstance(model, AdaptCLIP):  # AdaptCLIP draws the same images itself
        restrict_train_split(datamodule, prompts)
    model.evaluator, model.visualizer = evaluator, None
    if isinstance(model.post_processor, PostProcessor):
        model.post_processor.enable_normalization = False
    gallery = GalleryCallback() if run.gallery else None
    stopwatch = Stopwatch(lambda: time.perf_counter() - (gallery.seconds if gallery else 0))
    with TemporaryDirectory() as folder, without_bars():
        options: dict[str, Any] = {"limit_val_batches": 0, "enable_progress_bar": False, "enable_model_summary": False}
        engine = Engine(
            callbacks=[stopwatch, *([gallery] if gallery else [])],
            default_root_dir=folder,
            **(options | trainer | run.trainer),
        )
        start = time.perf_counter()
        if model.learning_type == LearningType.ONE_CLASS:
            engine.fit(model, datamodule=datamodule)
            if engine.trainer.interrupted:  # some releases of Lightning return from an interrupted training
                raise KeyboardInterrupt
        fitted = time.perf_counter()
        with silenced("anomalib_adaptclip.model.thresholds"):  # raw scores are wanted
            engine.test(model, datamodule=datamodule, verbose=False)
        tested = time.perf_counter() - (gallery.seconds if gallery else 0)
    if isinstance(model, AdaptCLIP) and model.prompt_files != prompts:
        msg = f"{run} used the prompts {model.prompt_files} instead of {prompts}. Leave few_shot_source out."
        raise ValueError(msg)
    pictures = gallery.archive if gallery else None
    leakage = isinstance(model, AdaptCLIP) and model.adapter_slot.saw(datamodule)
    return _PartResult(
        fitted - start,
        tested - fitted,
        stopwatch.seconds,
        stopwatch.images,
        model.adapter_slot.origin.source if isinstance(model, AdaptCLIP) else "",
        leakage,
        pictures,
    )


def _seconds_per_image(done: Sequence[_PartResult]) -> float | None:
    """Return the seconds of the test per image without first batches, or None if there are no other batches."""
    images = sum(part.later_images for part in done)
    return round(sum(part.later_seconds for part in done) / images, 5) if images else None


def build_model(run: Run) -> AnomalibModule:
    """Build the model of a run. The run sets the arguments ``k_shot``, ``seed`` and ``class_name`` where they exist.

    Args:
        run: Run whose model is needed.

    Raises:
        ValueError: If the model's arguments are wrong.
    """
    model_class = class_of(AnomalibModule, run.model_spec)  # type: ignore[type-abstract]
    arguments: dict[str, Any] = {"k_shot": run.shots} if takes(model_class, "k_shot") else {}
    if takes(model_class, "class_name") and not run.category:  # WinCLIP would put the empty name into its texts
        arguments["class_name"] = run.model_spec.init_args.get("class_name", "object")
    if issubclass(model_class, AdaptCLIP):
        arguments["seed"] = run.seed
    return build(AnomalibModule, run.model_spec, **arguments)  # type: ignore[type-abstract]


def restrict_train_split(datamodule: AnomalibDataModule, files: Sequence[str]) -> None:
    """Keep only some images in the train split.

    Args:
        datamodule: Data module that has been set up. It is changed.
        files: Paths of the images to keep. An image that is named twice is kept twice.
    """
    samples = datamodule.train_data.samples
    place = {str(path): index for index, path in enumerate(samples.image_path)}
    chosen = samples.iloc[[place[path] for path in files]].reset_index(drop=True)
    chosen.attrs = samples.attrs
    datamodule.train_data.samples = chosen


def _reset_peak_memory() -> None:
    """Restart the measurement of peak memory, if the system supports it."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_memory() -> int | None:
    """Return peak memory in MiB, of the GPU if it was used, else of the process, or None if it is not known."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() // _MEBIBYTE
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), None)
