# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""One run of a comparison, in an Engine of its own."""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from anomalib import LearningType
from anomalib.data import AnomalibDataModule
from anomalib.models.components import AnomalibModule
from anomalib.post_processing import PostProcessor
from lightning import seed_everything
from lightning.pytorch.trainer.states import TrainerFn

from anomalib_adaptclip.lightning_model import AdaptCLIP
from anomalib_adaptclip.prompts import prompts_from_datamodule
from anomalib_adaptclip.version import __version__

from .evaluation import ComparisonEvaluator
from .gallery import GalleryCallback
from .parts import build, class_of, relative_path, takes
from .sweep import Run

logger = logging.getLogger(__name__)

_PACKAGES = ("anomalib", "torch", "open_clip_torch", "lightning")
_MEBIBYTE = 1 << 20


def execute(run: Run, accelerator: str = "auto", device: int = 0) -> dict[str, Any]:
    """Run, whatever happens.

    Args:
        run: What to run.
        accelerator: Lightning's accelerator.
        device: Which GPU, where there are some.

    Returns:
        The row of the table: metrics, or the error.
    """
    try:
        cells = fit_and_test(run, accelerator, device)
    except Exception as error:  # whatever it is, the other runs go on
        logger.warning("Failed: %s.", run, exc_info=True)
        cells = {"error": f"{type(error).__name__}: {error}"}
    return describe(run) | cells


def describe(run: Run) -> dict[str, Any]:
    """The cells of a row that are known without figures."""
    versions = {"anomalib-adaptclip": __version__} | {name: version(name) for name in _PACKAGES}
    return {
        "model": run.model,
        "data_set": run.data_set,
        "category": run.category,
        "shots": run.shots,
        "seed": run.seed,
        "error": "",
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": " ".join(f"{name}={number}" for name, number in versions.items()),
        "configuration": run.configuration,
    }


def fit_and_test(run: Run, accelerator: str, device: int) -> dict[str, Any]:
    """Fit the model if it is one that is fitted, and test it.

    Args:
        run: What to run.
        accelerator: Lightning's accelerator.
        device: Which GPU, where there are some.

    Returns:
        Metrics, what they cost, and where the run is to have pictures, a file of them as ``gallery``.

    Raises:
        ValueError: If there are fewer normal images than shots, or scores are not finite.
        KeyboardInterrupt: If it was interrupted.
    """
    from anomalib.engine import Engine  # noqa: PLC0415  imports all models

    seed_everything(run.seed, workers=True, verbose=False)
    datamodule = build(AnomalibDataModule, run.data_spec)  # type: ignore[type-abstract]
    datamodule.prepare_data()
    datamodule.setup(TrainerFn.FITTING)  # a stage of the trainer's: it will not set up again, over what follows
    prompts = [] if run.shots in {0, "full"} else prompts_from_datamodule(datamodule, int(run.shots), run.seed)
    model = build_model(run)
    if prompts and not isinstance(model, AdaptCLIP):  # which draws the same ones itself
        restrict_train_split(datamodule, prompts)
    evaluator = ComparisonEvaluator(run.pixel_size)
    model.evaluator, model.visualizer = evaluator, None
    if isinstance(model.post_processor, PostProcessor):
        model.post_processor.enable_normalization = False
    gallery = GalleryCallback() if run.gallery and isinstance(model, AdaptCLIP) else None
    uses_gpu = accelerator != "cpu" and torch.cuda.is_available()
    _reset_peak_memory()
    with TemporaryDirectory() as folder:
        options: dict[str, Any] = {"limit_val_batches": 0, "enable_progress_bar": False, "enable_model_summary": False}
        options |= {"accelerator": accelerator, "devices": [device] if uses_gpu else 1}
        engine = Engine(callbacks=[gallery] if gallery else [], default_root_dir=folder, **(options | run.trainer))
        start = time.perf_counter()
        if model.learning_type == LearningType.ONE_CLASS:
            engine.fit(model, datamodule=datamodule)
            if engine.trainer.interrupted:  # some releases of Lightning return from an interrupted training
                raise KeyboardInterrupt
        fitted = time.perf_counter()
        engine.test(model, datamodule=datamodule, verbose=False)
        tested = time.perf_counter() - (gallery.seconds if gallery else 0)
    if isinstance(model, AdaptCLIP) and model.prompt_files != prompts:
        msg = f"{run} took the prompts {model.prompt_files} instead of {prompts}. Leave few_shot_source out."
        raise ValueError(msg)
    return {
        **evaluator.scores(),
        "images": evaluator.images,
        "prompts": json.dumps([relative_path(path, datamodule) for path in prompts]),
        "adapters": getattr(model, "adapter_source", ""),
        "fit_seconds": round(fitted - start, 2),
        "test_seconds": round(tested - fitted, 2),
        "peak_memory_mb": _peak_memory(),
        "device": torch.cuda.get_device_name(device) if uses_gpu else "cpu",
        **({"gallery": gallery.archive} if gallery and gallery.archive else {}),
    }


def build_model(run: Run) -> AnomalibModule:
    """Build the model of a run; one that knows about shots is told their number.

    Raises:
        ValueError: If its arguments are wrong.
    """
    model_class = class_of(AnomalibModule, run.model_spec)  # type: ignore[type-abstract]
    arguments: dict[str, Any] = {"k_shot": run.shots} if takes(model_class, "k_shot") else {}
    if takes(model_class, "class_name") and not run.category:  # WinCLIP would put the empty name into its texts
        arguments["class_name"] = run.model_spec.get("init_args", {}).get("class_name", "object")
    if issubclass(model_class, AdaptCLIP):
        arguments["seed"] = run.seed
    return build(AnomalibModule, run.model_spec, **arguments)  # type: ignore[type-abstract]


def restrict_train_split(datamodule: AnomalibDataModule, files: Sequence[str]) -> None:
    """Leave only some images in the train split.

    Args:
        datamodule: Data module that has been set up.
        files: Images to keep; one that is named twice is there twice.
    """
    samples = datamodule.train_data.samples
    place = {str(path): index for index, path in enumerate(samples.image_path)}
    chosen = samples.iloc[[place[path] for path in files]].reset_index(drop=True)
    chosen.attrs = samples.attrs
    datamodule.train_data.samples = chosen


def _reset_peak_memory() -> None:
    """Let the peak count from now on, where the system can."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _peak_memory() -> int | None:
    """Peak in MiB: of the GPU's memory if it was used, else of the process. None where the system does not tell."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return torch.cuda.max_memory_allocated() // _MEBIBYTE
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    return next((int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM:")), None)
