# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Prediction without Engine and Trainer: images in, scores and maps out.

Letters: B batch, H and W pixels of an image, h and w of the model's input.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from anomalib.data import InferenceBatch
from torch.utils.data import DataLoader

from anomalib_adaptclip.data.image_files import ImageFilesDataset, Unreadable, require_batch_size
from anomalib_adaptclip.files.tensors import read_torch_file
from anomalib_adaptclip.prompts.categories import category_of_folder

from .checkpoint_record import CheckpointRecord, require_lightning
from .lightning_model import AdaptCLIP
from .thresholds import warn_if_uncalibrated

# Arguments of AdaptCLIP that a checkpoint has the last word on; on those of the second line only if it has prompts.
_DECIDED = ("class_name", "adapters", "adapter_names", "revision", "context", "topk", "fusion", "image_size", "seed")
_PROMPTS = ("k_shot", "few_shot_source", "prompt_budget")

_OVERSHOOT = 0.1


class AdaptCLIPPredictor:
    """Scores and segments images with an :class:`AdaptCLIP`.

    Args:
        model: With its prompts and thresholds, if it is to have some.
        device: Where to compute; where the model is by default.

    Raises:
        ValueError: If the model wants prompts and has no source of them.

    Example:
        >>> predictor = AdaptCLIPPredictor.from_checkpoint("model.ckpt")  # doctest: +SKIP
        >>> predictor(images).pred_score  # doctest: +SKIP
        tensor([0.13, 0.92])
        >>> for paths, predictions in predictor.stream(files):  # doctest: +SKIP
        ...     print(paths, predictions.pred_label)
    """

    def __init__(self, model: AdaptCLIP, device: torch.device | str | None = None) -> None:
        self.model = model.to(require_device(device or model.device)).eval()
        self.model.prepare()
        warn_if_uncalibrated(self.model.post_processor)

    @classmethod
    def from_checkpoint(
        cls,
        path: Path | str,
        device: torch.device | str | None = None,
        **options: Any,  # noqa: ANN401
    ) -> "AdaptCLIPPredictor":
        """Take adapters, prompts and thresholds from a checkpoint.

        Args:
            path: Checkpoint of AdaptCLIP.
            device: Where to compute.
            **options: Arguments of AdaptCLIP that are to be others, such as a local file for ``pretrained``. Not those
                that the checkpoint decides: adapters, fusion, image size, class name, and prompts if it has some.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no checkpoint of AdaptCLIP, does not fit, or decides what an option says.
        """
        if not Path(path).is_file():
            msg = f"There is no checkpoint {path}. `anomalib train` writes one: weights/lightning/model.ckpt."
            raise FileNotFoundError(msg)
        content = read_torch_file(Path(path))
        try:
            record = CheckpointRecord.from_checkpoint(content)
            require_lightning(content)
        except ValueError as error:
            msg = f"{path} cannot be used. {error}"
            raise ValueError(msg) from error
        decided = (*_DECIDED, *(_PROMPTS if record.prompt_files else ()))
        if given := [name for name in options if name in decided]:
            msg = f"The checkpoint {path} decides {given}: they have no effect. Leave them out, or the checkpoint."
            raise ValueError(msg)
        model: Any = AdaptCLIP.load_from_checkpoint(path, map_location="cpu", **options)
        return cls(model, device)

    def __call__(self, images: torch.Tensor, categories: Sequence[str] = ()) -> InferenceBatch:
        """Score and segment a batch.

        Args:
            images: ``(B, 3, H, W)`` in [0, 1].
            categories: What each of them shows, B names, for models with a prompt bank.

        Returns:
            On the CPU: ``pred_score`` ``(B,)`` and ``anomaly_map`` ``(B, 1, h, w)`` in [0, 1], ``pred_label`` ``(B,)``
            and ``pred_mask`` ``(B, 1, h, w)`` by the thresholds.

        Raises:
            ValueError: If the type, the shape or the range is another.
        """
        image_input = self.model.image_input
        require_images(images, is_preprocessed=image_input.is_identity)
        return self._predict(image_input.preprocess(images), categories or None)

    def stream(
        self,
        files: Sequence[str | Path],
        batch_size: int = 8,
        num_workers: int = 0,
        unreadable: Unreadable = "error",
    ) -> Iterator[tuple[list[str], InferenceBatch]]:
        """Predict any number of image files, batch by batch. No more than a few batches are in memory.

        Args:
            files: Images. For models with a prompt bank their category is told by ``model.category_of`` or the folder.
            batch_size: Images at a time.
            num_workers: Worker processes that read images.
            unreadable: What to do with damaged images: ``"error"``, or ``"skip"`` them with a warning that names them.

        Yields:
            Paths of a batch, and its predictions as of a call. With several workers batches may come in another order.

        Raises:
            ValueError: If an argument is out of range, or an image cannot be read. It is named.
        """
        if isinstance(files, str | Path):
            msg = f"stream takes a list of image files, and got {str(files)!r} alone. Give sorted(folder.iterdir())."
            raise ValueError(msg)  # noqa: TRY004  # as for all arguments
        images = ImageFilesDataset(files, self.model.image_input.preprocess, unreadable)
        loader: DataLoader[Any] = DataLoader(
            images, require_batch_size(batch_size), num_workers=num_workers, collate_fn=images.collate_fn
        )
        return ((batch.image_path, self._predict(batch.image, self._categories(batch.image_path))) for batch in loader)

    def _categories(self, paths: Sequence[str]) -> list[str] | None:
        bank, function = self.model.prompt_bank, self.model.category_of
        if bank is None:
            return None
        return [function(path) if function else category_of_folder(path, bank.names) for path in paths]

    @torch.inference_mode()
    def _predict(self, images: torch.Tensor, categories: Sequence[str] | None) -> InferenceBatch:
        """Predict pre-processed images ``(B, 3, h, w)``."""
        output = self.model.detect(images.to(self.model.device), categories)
        output = output if self.model.post_processor is None else self.model.post_processor(output)
        return InferenceBatch(*(None if field is None else field.cpu() for field in output))


def require_images(images: object, *, is_preprocessed: bool = False) -> None:
    """Check a batch of images.

    Args:
        images: Should be floats ``(B, 3, H, W)``.
        is_preprocessed: Whether they may have other values than those in [0, 1], which resizing overshoots a little.

    Raises:
        ValueError: If the type, the shape or the range is another.
    """
    found = ""
    if not isinstance(images, torch.Tensor):
        found = f"{type(images).__name__}"
    elif not images.is_floating_point() or images.ndim != 4 or images.shape[1] != 3:
        found = f"{images.dtype} of shape {tuple(images.shape)}"
    elif not (is_preprocessed or ((images > -_OVERSHOOT) & (images < 1 + _OVERSHOOT)).all()):
        found = f"values from {images.amin():g} to {images.amax():g}"
    if found:
        msg = f"Images must be a tensor of floats (B, 3, H, W) in [0, 1]; got {found}. For image files there is stream."
        raise ValueError(msg)


def require_device(device: torch.device | str) -> torch.device:
    """Check that a device is there.

    Raises:
        ValueError: If it is not.
    """
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        msg = f"There is no device {device} on this machine: {error} Take cpu, or what torch has."
        raise ValueError(msg) from error
    return found
