# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What AdaptCLIP and the training of its adapters share: a frozen CLIP, its input, and checkpoints without CLIP."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from anomalib.metrics import AUPR, AUPRO, AUROC, Evaluator, F1Max
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import ImageVisualizer
from lightning.pytorch import LightningDataModule
from torchvision.transforms.v2 import Compose, InterpolationMode, Normalize, Resize

from anomalib_adaptclip.clip import CLIP_MEAN, CLIP_STD, Backbone, Clip, get_backbone, require_image_size
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.prompts.memory import Precision
from anomalib_adaptclip.results.visualizer import AdaptCLIPVisualizer

from .antialias_resize import exportable
from .evaluator import TwoClassEvaluator
from .image_input import ImageInput
from .model_options import ModelOptions
from .post_processor import AdaptCLIPPostProcessor
from .torch_model import AdaptCLIPModel

if TYPE_CHECKING:
    from anomalib.models.components import AnomalibModule as _Host
else:
    _Host = object

CLIP_PREFIX = "model.clip."


class FrozenClipMixin(_Host):
    """Methods of a Lightning module around an :class:`AdaptCLIPModel`; to stand before ``AnomalibModule``.

    A mixin, because anomalib finds models among the direct subclasses of ``AnomalibModule`` only.
    """

    model: AdaptCLIPModel
    pre_processor: PreProcessor | None
    image_reader: ImageReader

    @property
    def image_input(self) -> ImageInput:
        """Reads and preprocesses images for this model."""
        return ImageInput(self.pre_processor, self.image_reader)

    def read_images(self, files: Sequence[str | Path]) -> torch.Tensor:
        """Read and preprocess images, for prompts.

        Args:
            files: K image files.

        Returns:
            ``(K, 3, H, W)``, where the model is.

        Raises:
            ValueError: If one cannot be read.
        """
        return self.image_input.read(files).to(self.device)

    def require_input_size(self, default: tuple[int, int], patch_size: int) -> None:
        """Check that the pre-processor makes images of whole patches.

        Raises:
            ValueError: If it does not.
        """
        self.image_input.require_resize_first()
        if not self.image_input.is_identity:
            require_image_size(self.input_size or default, patch_size)

    def keep_antialias(self) -> None:
        """Let images that come without the Engine be resized as in it."""
        if isinstance(self.pre_processor, PreProcessor):
            self.pre_processor.export_transform = exportable(self.pre_processor.transform)

    def current_datamodule(self) -> LightningDataModule | None:
        """The data module of the trainer, None without one."""
        with suppress(RuntimeError):  # there is no trainer
            return getattr(self.trainer, "datamodule", None)
        return None

    def leave_clip_out(self, checkpoint: dict[str, Any]) -> None:
        """Take CLIP's weights out of a checkpoint: they are large, never change, and can be had elsewhere."""
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {key: state[key] for key in state if not key.startswith(CLIP_PREFIX)}

    def put_clip_in(self, checkpoint: dict[str, Any]) -> None:
        """Put the CLIP of this model into a checkpoint, so that all else is loaded strictly."""
        own = self.state_dict()
        checkpoint["state_dict"] |= {key: tensor for key, tensor in own.items() if key.startswith(CLIP_PREFIX)}

    @staticmethod
    def configure_evaluator() -> Evaluator:
        """AUROC, AUPR and F1Max of images and pixels, and AUPRO, as far as they exist."""
        image: dict[str, Any] = {"fields": ["pred_score", "gt_label"], "prefix": "image_"}
        pixel: dict[str, Any] = {"fields": ["anomaly_map", "gt_mask"], "prefix": "pixel_", "strict": False}
        return TwoClassEvaluator(
            test_metrics=[
                *(metric(**image) for metric in (AUROC, AUPR, F1Max)),
                *(metric(**pixel) for metric in (AUROC, AUPR, F1Max, AUPRO)),
            ]
        )

    def configure_post_processor(self) -> PostProcessor:
        """anomalib's, which normalises after a validation run, with thresholds between scores."""
        return AdaptCLIPPostProcessor()

    @classmethod
    def configure_visualizer(cls) -> ImageVisualizer:
        """One picture for each image, in the run's own folder."""
        return AdaptCLIPVisualizer()

    @classmethod
    def configure_pre_processor(cls, image_size: tuple[int, int] | None = None) -> PreProcessor:
        """Squash to the input size, bicubic with antialias, and normalise with CLIP's statistics.

        Args:
            image_size: Height and width in pixels, 518 each by default.

        Returns:
            The pre-processor. Checkpoints restore it.
        """
        resize = Resize(image_size or (518, 518), interpolation=InterpolationMode.BICUBIC, antialias=True)
        return PreProcessor(transform=Compose([resize, Normalize(mean=list(CLIP_MEAN), std=list(CLIP_STD))]))


def resolve_backbone(name: str, image_size: int | tuple[int, int] | None) -> tuple[Backbone, tuple[int, int]]:
    """Look a backbone up, and the size of its input.

    Args:
        name: Name of the backbone.
        image_size: Height and width of the input in pixels. The backbone's usual size by default.

    Raises:
        ValueError: If the backbone is unknown, or the size no multiple of its patch.
    """
    backbone = get_backbone(name)
    return backbone, require_image_size(image_size or backbone.image_size, backbone.patch_size)


def build_model(
    clip: Clip,
    backbone: Backbone,
    options: ModelOptions,
    prompt_precision: Precision = "float32",
    prompt_budget: int | None = None,
) -> AdaptCLIPModel:
    """Build the PyTorch model around a CLIP, in eval mode.

    Args:
        clip: CLIP with its weights.
        backbone: How it is read.
        options: Options of the model.
        prompt_precision: Precision of the prompts in memory.
        prompt_budget: Patches of the prompts to keep at most.
    """
    return AdaptCLIPModel(
        clip,
        backbone.layers,
        backbone.first_vv_block,
        prompt_precision=prompt_precision,
        prompt_budget=prompt_budget,
        **vars(options),
    ).eval()
