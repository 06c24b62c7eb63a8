# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Fine-tuning: adapters go on with the images of one product, and are judged on some that were held out."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lightning.pytorch import Callback, LightningModule, Trainer

from anomalib_adaptclip.adapters.adapter_choice import NONE
from anomalib_adaptclip.adapters.adapter_file import ADAPTER_FILE
from anomalib_adaptclip.argument_types import require_at_least, require_shares, require_types
from anomalib_adaptclip.clip import get_backbone
from anomalib_adaptclip.data.query_prompt_data_module import QueryPromptDataModule
from anomalib_adaptclip.files.csv_rows import open_csv, write_rows

from .lightning_model import AdaptCLIPTraining

logger = logging.getLogger(__name__)

FIGURES = "figures.csv"
_DIGITS = 3  # of figures, in which a difference counts
_METRICS = {"image_AUROC": "image AUROC", "pixel_AUPR": "pixel AUPR"}


class Figure(NamedTuple):
    """A metric on the images that were held out.

    Attributes:
        name: Name of the metric, with the number of shots.
        before: Its value before fine-tuning, in [0, 1].
        after: Its value after it.
    """

    name: str
    before: float
    after: float

    @property
    def is_worse(self) -> bool:
        """Whether it became worse in the digits that are shown."""
        return round(self.after, _DIGITS) < round(self.before, _DIGITS)

    def __str__(self) -> str:
        """The figure as a line."""
        return f"{self.name}: {self.before:.{_DIGITS}f} before, {self.after:.{_DIGITS}f} after"


class FineTuning:
    """Fine-tuning of adapters on a folder with ``good``, ``bad`` and perhaps ``masks``.

    Args:
        folder: Folder of the product, as of :class:`LabelledFolder`.
        out: Folder for ``adapters.safetensors`` and ``figures.csv``.
        adapters: Adapters to go on from, as of :class:`AdaptCLIPTraining`. The backbone's usual by default, and random
            ones where there are none.
        k_shot: Good images as prompts of the few-shot figures, fewer if the train split has fewer.
        held_out: Share of good and of bad images that are held out, above 0 and below 1.
        batch_size: Images in a batch.
        num_workers: Worker processes that load images.
        seed: Seed for all draws.
        overwrite: Whether adapters in ``out`` may be replaced.

    Attributes:
        datamodule: What is trained on, and as its target what is held out.

    Raises:
        ValueError: If an argument is wrong, there are too few images, or ``out`` holds adapters.
        FileNotFoundError: If there is no such folder.
    """

    def __init__(
        self,
        folder: Path,
        out: Path,
        adapters: str | None = None,
        k_shot: int = 4,
        held_out: float = 0.3,
        batch_size: int = 8,
        num_workers: int = 0,
        seed: int = 10,
        overwrite: bool = False,
    ) -> None:
        require_types(FineTuning.__init__, locals())
        require_at_least(1, k_shot=k_shot)
        require_at_least(2, batch_size=batch_size)  # for batch norms
        require_shares(held_out=held_out)
        if held_out in {0, 1}:
            msg = f"held_out must be between 0 and 1, for images to train on and images to judge; got {held_out}."
            raise ValueError(msg)
        require_out(out, overwrite=overwrite)
        self.out, self.adapters, self.seed = out, adapters, seed
        name = folder.resolve().name
        arguments = {"held_out_ratio": held_out}
        self.datamodule = QueryPromptDataModule(
            "LabelledFolder",
            folder,
            base_args={"name": name, **arguments},
            target="LabelledFolder",
            target_args={"name": f"{name}, held out", "held_out": True, **arguments},
            train_batch_size=batch_size,
            eval_batch_size=batch_size,
            num_workers=num_workers,
            seed=seed,
        )
        self.datamodule.setup()  # now, so that wrong folders are told before CLIP is built
        self.k_shot = min(k_shot, *map(len, self.datamodule.base_samples.prompts.values()))

    def run(
        self,
        learning_rate: float,
        epochs: int,
        accelerator: str = "auto",
        progress: Callable[[], object] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> list[Figure]:
        """Train, and judge before and after.

        Args:
            learning_rate: Learning rate of Adam.
            epochs: Epochs to train.
            accelerator: Lightning's accelerator. One device is used.
            progress: Called after each epoch.
            **options: Further arguments of :class:`AdaptCLIPTraining`.

        Returns:
            The figures that are defined. Those of pixels need masks of all bad images that were held out.

        Raises:
            ValueError: If an argument is wrong, or adapters do not fit.
            FileNotFoundError: If there is no such file of adapters.
            ConnectionError: If weights cannot be downloaded.
        """
        usual = get_backbone(options.get("backbone", "ViT-L-14-336")).adapters
        source = self.adapters or next(iter(usual), NONE)
        shared: dict[str, Any] = {"k_shot": self.k_shot, "seed": self.seed, **options}
        model = AdaptCLIPTraining(adapters=source, learning_rate=learning_rate, epochs=epochs, **shared)
        untrained = AdaptCLIPTraining(adapter_names=(), **shared) if source == NONE else model
        before = self._figures(untrained, accelerator)
        (self.out / FIGURES).unlink(missing_ok=True)  # they are of adapters that are about to be replaced
        callbacks = [] if progress is None else [_AfterEpoch(progress)]
        trainer = self._trainer(accelerator, max_epochs=epochs, limit_val_batches=0, callbacks=callbacks)
        trainer.fit(model, datamodule=self.datamodule)
        if trainer.interrupted:  # some releases of Lightning return normally from an interrupted training
            raise KeyboardInterrupt
        after = self._figures(model, accelerator)
        figures = [Figure(name, before[name], after[name]) for name in before]
        with open_csv(self.out / FIGURES, "w") as file:
            write_rows(file, [Figure._fields, *figures])
        return figures

    def _figures(self, model: AdaptCLIPTraining, accelerator: str) -> dict[str, float]:
        """Figures on the images that were held out, by name."""
        [found] = self._trainer(accelerator).test(model, datamodule=self.datamodule, verbose=False)
        shots = {"zero": "zero-shot", "one": "one-shot", "few": f"{self.k_shot}-shot"}
        figures = {}
        for name, value in found.items():
            shot, _, metric = name.removeprefix("test_").partition("_shot_")
            figures[f"{shots[shot]} {_METRICS[metric]}"] = float(value)
        return figures

    def _trainer(self, accelerator: str, **options: Any) -> Trainer:  # noqa: ANN401
        quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
        quiet |= {"enable_checkpointing": False, "num_sanity_val_steps": 0, "default_root_dir": self.out}
        return Trainer(accelerator=accelerator, devices=1, **quiet, **options)


class _AfterEpoch(Callback):
    """Calls a function after each epoch."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Call it."""
        del trainer, pl_module
        self.function()


def require_out(out: Path, *, overwrite: bool) -> None:
    """Check that adapters can be written to a folder, before any work is done.

    Raises:
        ValueError: If it is a file, or holds adapters that must not be replaced.
    """
    if out.exists() and not out.is_dir():
        msg = f"OUT must be a folder; {out} is a file. Name another one."
        raise ValueError(msg)
    if not overwrite and (out / ADAPTER_FILE).exists():
        msg = f"{out} holds adapters. Name another folder by --out, or replace them by --overwrite."
        raise ValueError(msg)


def warn_if_worse(figures: list[Figure]) -> None:
    """Log which figures became worse."""
    if worse := [str(figure) for figure in figures if figure.is_worse]:
        logger.warning(
            "On the held-out images the new adapters are worse than those before: %s. Keep those before, or try a "
            "smaller learning rate, fewer epochs or more images.",
            "; ".join(worse),
        )
