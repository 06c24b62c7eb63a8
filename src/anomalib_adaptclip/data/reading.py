# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Lets anomalib's data sets read their files as this package does, while one of its models uses them.

anomalib reads without EXIF orientation, clips 16 bits to white, takes floats for values up to 255 and drops alpha. Its
data sets go on choosing files, masks, labels and augmentations; only the functions that read a file are replaced, for
the time of a batch.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.data import AnomalibDataset, Batch, PredictDataset
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from anomalib_adaptclip.files.image_reader import ImageReader

_LOOPS = ("validate_loop", "test_loop", "predict_loop")


class BatchReading:
    """Reads the items of a batch with another reader of files. torch's data loaders ask a data set's `__getitems__`.

    Args:
        dataset: One of anomalib's data sets.
        reader: Reads images and masks.
        keeps_sizes: Whether images of different sizes stay so before the model.
    """

    def __init__(
        self, dataset: AnomalibDataset | PredictDataset, reader: ImageReader, *, keeps_sizes: bool = False
    ) -> None:
        self.dataset = dataset
        self.reader = reader
        self.keeps_sizes = keeps_sizes

    def __call__(self, indices: Sequence[int]) -> list[Any]:
        """Read items.

        Raises:
            ValueError: If they have different sizes that nothing makes one.
        """
        with _reading_by(self.reader, type(self.dataset)):
            items = [self.dataset[index] for index in indices]
        sizes = {tuple(torch.as_tensor(item.image).shape[-2:]) for item in items}
        if self.keeps_sizes and len(sizes) > 1:
            msg = (
                f"The images of a batch have the sizes {sorted(sizes)}, and the model's pre-processor leaves them "
                "different: anomalib would warp them to one. Load them one by one, by eval_batch_size=1, or give tiles "
                "as rows and columns."
            )
            raise ValueError(msg)
        return items


class ReadingCallback(Callback):
    """Lets the data sets of a trainer read as the model does, and checks what reaches the model.

    It must come before the pre-processor. Afterwards the data sets are as before, for other models.

    Raises:
        ValueError: If images are no floats ``(B, 3, H, W)`` in [0, 1].
    """

    def __init__(self) -> None:
        self._corrected: list[Any] = []

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Replace the reading, before workers copy the data sets."""
        del stage
        reader = getattr(pl_module, "image_reader", None)
        if reader is None:  # another model; Lightning keeps callbacks
            return
        for dataset in _datasets_of(trainer):
            if hasattr(dataset, "reader"):
                dataset.reader = reader  # of this package
            else:
                keeps_sizes = getattr(pl_module, "input_size", False) is None
                dataset.__getitems__ = BatchReading(dataset, reader, keeps_sizes=keeps_sizes)
                self._corrected.append(dataset)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the reading back."""
        del trainer, pl_module, stage
        while self._corrected:
            vars(self._corrected.pop()).pop("__getitems__", None)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Put the reading back."""
        del exception
        self.teardown(trainer, pl_module, "")

    def on_predict_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Batch[Any],
        *args: Any,  # noqa: ANN401
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        """Check the images, before the pre-processor changes their range."""
        del trainer, args, kwargs
        if batch.image is not None and hasattr(pl_module, "image_reader"):
            require_images(batch.image)

    on_validation_batch_start = on_predict_batch_start
    on_test_batch_start = on_predict_batch_start


_OVERSHOOT = 0.5  # of bicubic resizing, at sharp edges


def require_images(images: object) -> None:
    """Check a batch of images.

    Args:
        images: Should be floats ``(B, 3, H, W)`` in [0, 1], which resizing overshoots a little.

    Raises:
        ValueError: If the type, the shape or the range is another.
    """
    found = ""
    if not isinstance(images, torch.Tensor):
        found = f"{type(images).__name__}"
    elif not images.is_floating_point() or images.ndim != 4 or images.shape[1] != 3 or not images.numel():
        found = f"{images.dtype} of shape {tuple(images.shape)}"
    elif not ((images > -_OVERSHOOT) & (images < 1 + _OVERSHOOT)).all():  # false for NaN too
        found = f"values from {images.amin():g} to {images.amax():g}"
    if found:
        msg = f"Images must be a tensor of floats (B, 3, H, W) in [0, 1]; got {found}. Divide by the value of white."
        raise ValueError(msg)


@contextmanager
def _reading_by(reader: ImageReader, kind: type) -> Iterator[None]:
    """Replace the functions by which the class of a data set reads files."""
    functions: dict[str, Callable[..., Any]] = {
        "read_image": _image_function(reader),
        "read_mask": _mask_function(reader),
    }
    modules = {sys.modules[base.__module__] for base in kind.__mro__ if "__getitem__" in vars(base)}
    own = [(module, name, getattr(module, name)) for module in modules for name in functions if hasattr(module, name)]
    try:
        for module, name, _ in own:
            setattr(module, name, functions[name])
        yield
    finally:
        for module, name, function in own:
            setattr(module, name, function)


def _image_function(reader: ImageReader) -> Callable[..., Any]:
    def _read_image(path: str | Path, as_tensor: bool = False) -> torch.Tensor | np.ndarray[Any, Any]:
        image = reader.read(path)
        return image if as_tensor else image.permute(1, 2, 0).double().numpy()

    return _read_image


def _mask_function(reader: ImageReader) -> Callable[..., Any]:
    def _read_mask(path: str | Path, as_tensor: bool = False) -> torch.Tensor | np.ndarray[Any, Any]:
        mask: torch.Tensor = reader.read_mask(path)
        return mask if as_tensor else mask.numpy() * np.uint8(255)

    return _read_mask


def _datasets_of(trainer: Trainer) -> list[Any]:
    """Data sets that read files, of the data module and of data loaders that were given alone."""
    module = getattr(trainer, "datamodule", None)
    found = list(vars(module).values()) if module else []
    for name in _LOOPS:
        loaders = getattr(getattr(getattr(trainer, name), "_data_source", None), "instance", None)
        found += [loader.dataset for loader in _as_list(loaders) if isinstance(loader, DataLoader)]
    datasets = {id(value): value for value in found if isinstance(value, AnomalibDataset | PredictDataset)}
    return list(datasets.values())


def _as_list(value: object) -> Sequence[object]:
    return value if isinstance(value, list | tuple) else [value]
