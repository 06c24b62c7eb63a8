# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``finetune``: adapters for one product, and what they are worth."""

from pathlib import Path
from typing import Any

from rich.console import Console

from .console import progress_bar, say
from .inspect import remedy_of_missing_weights


def finetune(
    folder: Path,
    out: Path = Path("finetuned"),
    adapters: str | None = None,
    learning_rate: float = 1e-4,
    epochs: int = 5,
    held_out: float = 0.3,
    k_shot: int = 4,
    batch_size: int = 8,
    num_workers: int = 0,
    seed: int = 10,
    accelerator: str = "auto",
    overwrite: bool = False,
    *,
    options: dict[str, Any],
) -> None:
    """Train adapters further on the images of one product, and judge them on images that were held out.

    FOLDER holds the folders good and bad, and masks if there are some: x.png or x_mask.png for bad/x.png. OUT then
    holds adapters.safetensors and figures.csv, zero- and few-shot, before and after. A warning tells what became worse.

    Args:
        folder: Folder of the product.
        out: Folder to write to.
        adapters: Adapters to go on from: mvtec, visa, generated, a file, or none for random ones. By default the
            backbone's usual.
        learning_rate: Learning rate of Adam.
        epochs: Epochs to train.
        held_out: Share of good and of bad images that are held out.
        k_shot: Good images as prompts of the few-shot figures, if there are as many besides those that are trained on
            and those that are held out.
        batch_size: Number of images in a batch.
        num_workers: Number of worker processes that read images.
        seed: Seed for all draws.
        accelerator: Lightning's accelerator. One device is used.
        overwrite: Replace adapters in OUT.
        options: Those of TrainingOptions that are given.

    Raises:
        ValueError: If an argument or a file is wrong.
        FileNotFoundError: If a file or folder does not exist.
        ConnectionError: If weights cannot be downloaded.
    """
    from anomalib_adaptclip.adapters.adapter_file import ADAPTER_FILE
    from anomalib_adaptclip.comparison.accelerators import require_accelerator
    from anomalib_adaptclip.training.finetuning import FIGURES, FineTuning, warn_if_worse

    require_accelerator(accelerator)
    tuning = FineTuning(folder, out, adapters, k_shot, held_out, batch_size, num_workers, seed, overwrite)
    for line in tuning.datamodule.summary().splitlines():
        say(line)
    given = {name: value for name, value in options.items() if value is not None}
    with progress_bar(console=Console(stderr=True), transient=True) as progress, remedy_of_missing_weights():
        task = progress.add_task("Epochs", total=epochs)
        figures = tuning.run(learning_rate, epochs, accelerator, lambda: progress.advance(task), **given)
    for figure in figures:
        say(str(figure))
    warn_if_worse(figures)
    say(f"Adapters: {out / ADAPTER_FILE}, for --adapters. Figures: {out / FIGURES}.")
