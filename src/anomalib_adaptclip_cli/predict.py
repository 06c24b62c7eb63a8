# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``predict``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from .console import progress_bar, say
from .options import Runtime, SaveFormat, Unreadable

if TYPE_CHECKING:
    from anomalib_adaptclip import AdaptCLIPPredictor


def predict(
    images: Path,
    results: Path,
    ckpt_path: Path | None = None,
    batch_size: int = 8,
    num_workers: int = 0,
    unreadable: Unreadable = "error",
    resume: bool = False,
    device: str = "cpu",
    runtime: Runtime = "torch",
    save: SaveFormat | Sequence[SaveFormat] = (),
    *,
    options: dict[str, Any],
) -> None:
    """Predict any number of images into a table: path, score, label, boxes and more.

    Until all are predicted a draft beside it holds the rows, from which resume continues. Options override those of the
    checkpoint, or are refused.

    Args:
        images: Folder, searched with its subfolders, or an image.
        results: Table to create or replace, .csv or .parquet.
        ckpt_path: Checkpoint with adapters, prompts and thresholds.
        batch_size: Number of images in a batch.
        num_workers: Processes that read images.
        unreadable: Refuse damaged images, or skip them.
        resume: Predict what the draft or the table lacks.
        device: Where to compute: cpu, cuda, cuda:1.
        runtime: OpenVINO is often faster.
        save: Also written: csv, parquet, jsonl, coco, masks, maps.
        options: Those of AdaptCLIPOptions that are given.

    Raises:
        ValueError: If an argument or a file is wrong, another run is writing the table, or it is of another model.
        FileNotFoundError: If a file or folder does not exist.
        ConnectionError: If weights cannot be downloaded.
    """
    from anomalib_adaptclip.argument_types import require_at_least
    from anomalib_adaptclip.data.image_files import list_image_files, require_batch_size
    from anomalib_adaptclip.model.predictor import require_device
    from anomalib_adaptclip.model.run_identity import run_identity
    from anomalib_adaptclip.results.prediction_table import require_results
    from anomalib_adaptclip.results.results_writer import ResultsWriter

    require_results(results)
    require_batch_size(batch_size)
    require_at_least(0, num_workers=num_workers)
    if ckpt_path is None:
        _require_source(options)
    require_device(device)
    files = list_image_files(images)
    formats = [save] if isinstance(save, str) else save
    with ResultsWriter(results, formats, [images if images.is_dir() else images.parent], resume) as writer:
        writer.require_names(files)
        predictor = _build_predictor(ckpt_path, device, runtime, options)
        writer.require_same_run(run_identity(predictor.model))
        left = [path for path in files if path not in writer.table.paths]
        rows = 0
        with progress_bar(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("Images", total=len(left))
            for paths, predictions in predictor.stream(left, batch_size, num_workers, unreadable):
                writer.write(paths, predictions, predictor.geometry, predictor.scale)
                rows += len(paths)
                progress.advance(task, len(paths))
    beside = f" Beside it: {', '.join(path.name for path in writer.outputs)}." if writer.outputs else ""
    say(_summary(results, rows, len(left), len(files)) + beside)


def _require_source(options: Mapping[str, Any]) -> None:
    """Check that few-shot prediction has good images, before the model is built."""
    if options.get("k_shot", 0) > 0 and not any(options.get(name) for name in ("few_shot_source", "prompt_bank")):
        msg = f"k_shot={options['k_shot']} needs normal images. Give --few_shot_source FOLDER, or a checkpoint."
        raise ValueError(msg)


def _build_predictor(
    ckpt_path: Path | None, device: str, runtime: Runtime, options: dict[str, Any]
) -> "AdaptCLIPPredictor":
    from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor

    if ckpt_path is None:
        return AdaptCLIPPredictor(AdaptCLIP(**options), device, runtime)
    return AdaptCLIPPredictor.from_checkpoint(ckpt_path, device, runtime, **options)


def _summary(results: Path, rows: int, left: int, found: int) -> str:
    """Summarise a prediction: ``found`` images, of which ``left`` had no row before and ``rows`` got one now."""
    before = f", {found - left} had one before" if left < found else ""
    skipped = f", {left - rows} could not be read" if rows < left else ""
    return f"{results}: {rows} new rows{before}{skipped}."
