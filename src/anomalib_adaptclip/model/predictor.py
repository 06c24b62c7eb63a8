# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Prediction without Engine and Trainer: images in, scores and maps out.

Letters: B batch, H and W pixels of an image, h and w of the model's input.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from anomalib.data import InferenceBatch
from torch.utils.data import DataLoader

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.choices import require_choice
from anomalib_adaptclip.data.image_files import ImageFilesDataset, Unreadable, enough_workers, require_batch_size
from anomalib_adaptclip.data.reading import require_images
from anomalib_adaptclip.files.image_samples import ChannelOrder
from anomalib_adaptclip.files.messages import in_one_line
from anomalib_adaptclip.prompts.categories import category_of_folder
from anomalib_adaptclip.results.explanation import Explanation
from anomalib_adaptclip.results.geometry import FileGeometry
from anomalib_adaptclip.results.image_result import RawInferenceBatch
from anomalib_adaptclip.results.score_scale import ScoreScale, score_scale, score_scales
from anomalib_adaptclip.results.verdicts import without_verdicts

from .checkpoint_record import CheckpointRecord, require_lightning
from .clip_mixin import read_checkpoint
from .given_arguments import require_known
from .image_input import of_one_size
from .lightning_model import AdaptCLIP
from .openvino_runtime import Runtime, compile_openvino, require_runtime
from .thresholds import warn_if_uncalibrated

# Arguments of AdaptCLIP that a checkpoint has the last word on; on those of the second line only if it has prompts.
_DECIDED = (
    *("class_name", "adapters", "adapter_names", "revision", "context", "topk", "fusion", "image_size"),
    *("seed", "draw", "tiles", "tile_overlap", "match_window"),
)
_PROMPTS = ("k_shot", "few_shot_source", "prompt_budget")


class AdaptCLIPPredictor:
    """Scores and segments images with an :class:`AdaptCLIP`.

    Args:
        model: With its prompts and thresholds, if it is to have some.
        device: Where to compute; where the model is by default.
        runtime: ``"torch"``, or ``"openvino"`` for many images on a processor: compiling takes some seconds, up to a
            minute for ViT-L/14, and each image less time. It needs the extra ``openvino``.

    Raises:
        ValueError: If the model wants prompts and has no source of them, or is to write a table, as the Engine does; or
            OpenVINO cannot run it.
        ModuleNotFoundError: If OpenVINO is missing.

    Example:
        >>> predictor = AdaptCLIPPredictor.from_checkpoint("model.ckpt")  # doctest: +SKIP
        >>> predictor(images).pred_score  # doctest: +SKIP
        tensor([0.13, 0.92])
        >>> for paths, predictions in predictor.stream(files):  # doctest: +SKIP
        ...     print(paths, predictions.pred_label)
    """

    def __init__(self, model: AdaptCLIP, device: torch.device | str | None = None, runtime: Runtime = "torch") -> None:
        require_types(AdaptCLIPPredictor.__init__, locals())
        require_no_table(model.hparams.get("results"))
        found = require_device(device or model.device)
        require_runtime(runtime, found, model)
        self.model = model.to(found).eval()
        self.model.prepare()
        warn_if_uncalibrated(self.model.post_processor)
        self._detect = compile_openvino(self.model) if runtime == "openvino" else self.model.detect

    @classmethod
    def from_checkpoint(
        cls,
        path: Path | str,
        device: torch.device | str | None = None,
        runtime: Runtime = "torch",
        **options: Any,  # noqa: ANN401
    ) -> "AdaptCLIPPredictor":
        """Take adapters, prompts and thresholds from a checkpoint.

        Args:
            path: Checkpoint of AdaptCLIP.
            device: Where to compute.
            runtime: As for the class.
            **options: Arguments of AdaptCLIP that are to be others, such as a local file for ``pretrained``. Not those
                that the checkpoint decides: adapters, fusion, image size, class name, and prompts if it has some.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no checkpoint of AdaptCLIP, does not fit, or decides what an option says.
        """
        require_types(cls.from_checkpoint, {"path": path, "device": device, "runtime": runtime})
        require_choice("runtime", runtime, Runtime)
        require_known(AdaptCLIP, options)
        require_no_table(options.get("results"))
        require_unused(options)
        content = read_checkpoint(path)
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
        return cls(model, device, runtime)

    def __call__(
        self,
        images: Any,  # noqa: ANN401
        categories: Sequence[str] = (),
        channel_order: ChannelOrder = "rgb",
    ) -> InferenceBatch:
        """Score and segment one image or several.

        Args:
            images: A batch ``(B, 3, H, W)`` of floats in [0, 1]; or one image, or a list of images, each a path, a
                Pillow image, an array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)`` or a tensor ``(3, H, W)``, of uint8,
                uint16 or floats in [0, 1], as :meth:`ImageReader.convert` takes them.
            categories: What each of them shows, B names, for models with a prompt bank.
            channel_order: ``"bgr"`` for arrays and tensors of OpenCV.

        Returns:
            On the CPU: ``pred_score`` ``(B,)`` and ``anomaly_map`` ``(B, 1, h, w)`` in [0, 1], ``pred_label`` ``(B,)``
            and ``pred_mask`` ``(B, 1, h, w)`` by the thresholds. With a prompt bank labels are whole numbers, -1 for
            images that get no verdict: no threshold fits their category.

        Raises:
            ValueError: If the type, the shape or the range is another.
        """
        return self.predict(self._checked(images, categories, channel_order), categories or None)

    def explain(
        self,
        images: Any,  # noqa: ANN401
        categories: Sequence[str] = (),
        channel_order: ChannelOrder = "rgb",
    ) -> list[Explanation]:
        """Explain why images score as they do: by adapter, and by the nearest good patches.

        Args:
            images: As for a call.
            categories: As for a call.
            channel_order: As for a call.

        Returns:
            An explanation for each image. Boxes are in pixels of the model's input, ``explanation.in_file`` brings
            them to those of a file; boxes of good photos are in pixels of their files.

        Raises:
            ValueError: As for a call.
        """
        inputs = self._checked(images, categories, channel_order)
        return self.model.explain(inputs.to(self.model.device), categories or None)

    def _checked(self, images: Any, categories: Sequence[str], channel_order: ChannelOrder) -> torch.Tensor:  # noqa: ANN401
        require_types(AdaptCLIPPredictor.__call__, {"categories": categories})
        require_choice("channel_order", channel_order, ChannelOrder)
        return self._preprocessed(images, channel_order)

    def _preprocessed(self, images: Any, channel_order: ChannelOrder) -> torch.Tensor:  # noqa: ANN401
        """Bring what a user gives to ``(B, 3, h, w)``."""
        image_input = self.model.image_input
        if isinstance(images, torch.Tensor) and images.ndim == 4 and images.is_floating_point():
            if not image_input.is_identity:  # else they are normalised, and have any range
                require_images(images)
            return image_input.preprocess(images.flip(1) if channel_order == "bgr" else images)
        is_batch = isinstance(images, np.ndarray | torch.Tensor) and images.ndim == 4
        several = is_batch or isinstance(images, list | tuple)
        listed = list(images) if several else [images]
        if not listed:
            msg = "The predictor needs at least one image; got none."
            raise ValueError(msg)
        read = (self.model.image_reader.convert(image, channel_order) for image in listed)
        inputs = [image_input.preprocess(image.unsqueeze(0)) for image in read]
        return torch.cat(of_one_size(inputs))

    @property
    def geometry(self) -> FileGeometry:
        """Brings maps and regions back to the pixels of the image files."""
        return FileGeometry(self.model.image_input.transforms)

    @property
    def scale(self) -> ScoreScale:
        """Brings scores back to raw ones, with thresholds and what normal images score; not those of a prompt bank."""
        return score_scale(self.model)

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
            batch_size: Images at a time; one for models that leave images of different sizes so.
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
        require_types(self.stream, locals())
        model = self.model
        images = ImageFilesDataset(files, model.image_input.preprocess, unreadable, model.image_reader)
        batch_size = 1 if model.image_input.keeps_sizes else require_batch_size(batch_size)
        workers = enough_workers(num_workers, len(files), batch_size)
        loader: DataLoader[Any] = DataLoader(images, batch_size, num_workers=workers, collate_fn=images.collate_fn)
        return ((batch.image_path, self.predict(batch.image, self._categories(batch.image_path))) for batch in loader)

    def _categories(self, paths: Sequence[str]) -> list[str] | None:
        bank, function = self.model.prompt_bank, self.model.category_of
        if bank is None:
            return None
        return [function(path) if function else category_of_folder(path, bank.names) for path in paths]

    @torch.inference_mode()
    def predict(self, images: torch.Tensor, categories: Sequence[str] | None = None) -> InferenceBatch:
        """Score and segment images that ``model.image_input`` preprocessed already.

        Args:
            images: ``(B, 3, h, w)``.
            categories: As for a call; None for models without a prompt bank.

        Returns:
            As of a call.
        """
        raw = self._detect(images.to(self.model.device), categories)
        output = raw if self.model.post_processor is None else self.model.post_processor(raw)
        predictions = RawInferenceBatch(*_on_cpu(without_verdicts(output, self.model.unjudged(categories))))
        if categories is None:
            predictions.raw = _on_cpu(raw)
        else:
            predictions.scales = score_scales(self.model, categories)
        return predictions


def _on_cpu(batch: InferenceBatch) -> InferenceBatch:
    return InferenceBatch(*(None if field is None else field.cpu() for field in batch))


def require_no_table(results: object) -> None:
    """Check that no table is wanted, for a predictor writes none.

    Raises:
        ValueError: If one is.
    """
    if results is not None:
        msg = (
            f"A predictor writes no table; got results={str(results)!r}. Use Engine.predict or `anomalib-adaptclip "
            "predict`, or leave it out."
        )
        raise ValueError(msg)


def require_unused(options: Mapping[str, object]) -> None:
    """Check that there is nothing among the options that only the Engine uses.

    Raises:
        ValueError: If there is.
    """
    if given := [name for name in ("evaluator", "visualizer") if options.get(name, False) is not False]:
        msg = f"A predictor computes no metrics and draws no pictures; got {given}. Use the Engine, or leave them out."
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
        msg = f"There is no device {device} on this machine: {in_one_line(error)} Take cpu, or what torch has."
        raise ValueError(msg) from error
    return found
