# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What AdaptCLIP and the training of its adapters share: a frozen CLIP, its input, and checkpoints without CLIP."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from anomalib.metrics import AUPR, AUPRO, AUROC, Evaluator, F1Max
from anomalib.pre_processing import PreProcessor
from lightning.pytorch import LightningDataModule
from torchvision.transforms.v2 import Compose, InterpolationMode, Normalize, Resize

from anomalib_adaptclip.clip import CLIP_MEAN, CLIP_STD, Backbone, Clip, get_backbone, require_image_size
from anomalib_adaptclip.files.tensors import differences
from anomalib_adaptclip.prompts.memory import Precision

from .antialias_resize import exportable
from .image_input import ImageInput
from .model_options import ModelOptions
from .torch_model import AdaptCLIPModel

if TYPE_CHECKING:
    from anomalib.models.components import AnomalibModule as _Host
else:
    _Host = object

CLIP_PREFIX = "model.clip."
TOKENS = "model.prompt_memory.tokens"


class FrozenClipMixin(_Host):
    """Methods of a Lightning module around an :class:`AdaptCLIPModel`; to stand before ``AnomalibModule``.

    A mixin, because anomalib finds models among the direct subclasses of ``AnomalibModule`` only.
    """

    model: AdaptCLIPModel
    pre_processor: PreProcessor | None

    @property
    def image_input(self) -> ImageInput:
        """Reads and preprocesses images for this model."""
        return ImageInput(self.pre_processor)

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
        """Put the CLIP of this model into a checkpoint, so that all else is loaded strictly.

        Raises:
            ValueError: If a tensor of the model is missing, left over or misshapen.
        """
        own = self.state_dict()
        require_same_shapes(checkpoint["state_dict"], own, len(self.model.layers))
        checkpoint["state_dict"] |= {key: tensor for key, tensor in own.items() if key.startswith(CLIP_PREFIX)}

    @staticmethod
    def configure_evaluator() -> Evaluator:
        """AUROC, AUPR and F1Max of images and pixels, and AUPRO."""
        image: dict[str, Any] = {"fields": ["pred_score", "gt_label"], "prefix": "image_"}
        pixel: dict[str, Any] = {"fields": ["anomaly_map", "gt_mask"], "prefix": "pixel_", "strict": False}
        return Evaluator(
            test_metrics=[
                *(metric(**image) for metric in (AUROC, AUPR, F1Max)),
                *(metric(**pixel) for metric in (AUROC, AUPR, F1Max, AUPRO)),
            ]
        )

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


def require_same_shapes(found: Mapping[str, torch.Tensor], own: Mapping[str, torch.Tensor], num_layers: int) -> None:
    """Check the tensors of a checkpoint against those of its model, without CLIP.

    Args:
        found: State dict of the checkpoint.
        own: State dict of the model.
        num_layers: CLIP's layers in use.

    Raises:
        ValueError: If a tensor is missing, left over or misshapen; all are told.
    """
    ours, theirs = (
        {key: tensor for key, tensor in state.items() if key.startswith("model.") and not key.startswith(CLIP_PREFIX)}
        for state in (own, found)
    )
    width = ours["model.static_pair"].shape[1]
    pairs = [(0, width), (2, width)]
    memory = [(0, 0, 0, 0)]
    if TOKENS in theirs and 0 not in theirs[TOKENS].shape[1:3]:
        memory.append((num_layers, *theirs[TOKENS].shape[1:3], width))
    shapes: dict[str, list[Any]] = {"model.static_pair": pairs, "model.learned_pair": pairs, TOKENS: memory}
    sizes = {key: tuple(theirs[key].shape) for key in shapes if key in theirs}  # these grow with texts and prompts
    growing = {key: own[key].new_empty(size) for key, size in sizes.items() if size in shapes[key]}
    if problems := differences({**ours, **growing}, theirs):
        msg = f"The checkpoint does not fit its model, or is damaged: {'; '.join(problems)}. Train it anew."
        raise ValueError(msg)


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
