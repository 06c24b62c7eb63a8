# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Where a model comes from: good photos, a checkpoint that was kept, or a prompt bank."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from anomalib_adaptclip.inspection.part import learn
from anomalib_adaptclip.model.calibration import CalibrationRecord, Calibrator
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.model.predictor import AdaptCLIPPredictor, require_device
from anomalib_adaptclip.prompts.bank_file import read_header

from .levels import RATES

CHECKPOINTS, BANKS = (".ckpt", ".pt", ".pth"), (".safetensors",)
_BESIDE = ("pretrained", "false_positive_rate", "white_level")  # what a checkpoint leaves open


@dataclass(frozen=True)
class Settings:
    """How models are made.

    Attributes:
        options: Arguments of :class:`AdaptCLIP` that were given.
        device: Where to compute.
    """

    options: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def require_weights(self) -> None:
        """Check the options, and that weights and adapters can be had, before a page asks for photos.

        Raises:
            ValueError: If an option is wrong.
            ConnectionError: If weights cannot be downloaded.
        """
        AdaptCLIP(**self.options).prepare()

    def learn(self, good: Path, like: AdaptCLIP | None = None) -> AdaptCLIP:
        """Learn from a folder of good photos, and calibrate on them.

        Args:
            good: The folder.
            like: A model whose backbone is taken where none was given.

        Raises:
            ValueError: If an option or a photo is wrong.
            ConnectionError: If weights cannot be downloaded.
        """
        own = {"backbone": like.backbone.name} if like else {}
        return self._ready(learn(good, **{**own, **self.options}))

    def open(self, path: Path, *, strict: bool = False) -> AdaptCLIP:
        """Open a checkpoint or a prompt bank.

        Args:
            path: Its file.
            strict: Whether options that a checkpoint decides are refused. Otherwise the checkpoint has the last word.

        Raises:
            ValueError: If it is neither, or does not fit the options.
            FileNotFoundError: If there is no such file.
            ConnectionError: If weights cannot be downloaded.
        """
        require_model_file(path)
        if path.suffix in BANKS:
            return self._ready(self._with_bank(path))
        options = {name: value for name, value in self.options.items() if strict or name in _BESIDE}
        return AdaptCLIPPredictor.from_checkpoint(path, self.device, **options).model

    def _with_bank(self, path: Path) -> AdaptCLIP:
        header = read_header(path)
        own = {"backbone": header.backbone or None, "image_size": header.input_size}
        options = {name: value for name, value in own.items() if value is not None} | dict(self.options)
        return AdaptCLIP(prompt_bank=path, calibration="normal", **options)

    def _ready(self, model: AdaptCLIP) -> AdaptCLIP:
        model.to(require_device(self.device)).eval()
        model.prepare()
        return model


def require_model_file(path: Path) -> None:
    """Check the kind of a file, before it is opened.

    Raises:
        ValueError: If it is neither a checkpoint nor a bank by its name.
        FileNotFoundError: If there is none.
    """
    if path.suffix not in {*CHECKPOINTS, *BANKS} or path.is_dir():
        msg = f"A model is a checkpoint, *.ckpt, or a prompt bank, *.safetensors; got {path}. Name one of these."
        raise ValueError(msg)
    if not path.is_file():
        msg = f"There is no file {path}. Name a checkpoint or a prompt bank, or none, and drop good photos on the page."
        raise FileNotFoundError(msg)


@contextmanager
def keeping(model: AdaptCLIP, rate: float | None) -> Iterator[None]:
    """Let a model have the thresholds of another false-positive rate for the while.

    Args:
        model: Model with good photos, not a prompt bank.
        rate: The rate; None for its own. Without a record of good photos' scores nothing is changed.
    """
    calibrator, own = model.calibrator, model.calibrator.record if model.calibrator else None
    if rate is None or calibrator is None or own is None:
        yield
        return
    try:
        _set_record(model, calibrator, replace(own, rate=min(max(rate, RATES[0]), RATES[1])))
        yield
    finally:
        _set_record(model, calibrator, own)


def _set_record(model: AdaptCLIP, calibrator: Calibrator, record: CalibrationRecord) -> None:
    calibrator.record, calibrator.rate = record, record.rate
    model.hparams["false_positive_rate"] = record.rate
    model.given_thresholds.apply(model.post_processor, calibrator)
