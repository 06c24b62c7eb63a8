# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What AdaptCLIP and the training of its adapters share: a frozen CLIP, its input, and checkpoints without CLIP."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from anomalib.metrics import AUPR, AUPRO, AUROC, Evaluator, F1Max
from anomalib.post_processing import PostProcessor
from anomalib.pre_processing import PreProcessor
from anomalib.visualization import ImageVisualizer
from lightning.pytorch import LightningDataModule

from anomalib_adaptclip.adapters.adapter_slot import AdapterOrigin
from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.clip import (
    Backbone,
    Clip,
    ClipIdentity,
    get_backbone,
    require_image_size,
)
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.files.tensors import differences, read_torch_file
from anomalib_adaptclip.prompts.memory import Precision
from anomalib_adaptclip.results.visualizer import AdaptCLIPVisualizer

from .antialias_resize import exportable
from .checkpoint_record import CheckpointRecord, plain, require_lightning
from .evaluator import TwoClassEvaluator
from .given_arguments import (
    COMPONENTS,
    given_arguments,
    keep_given,
    put_state_in,
    require_known,
    require_known_saved,
    require_undecided,
    with_dependents,
)
from .image_input import ImageInput
from .model_options import ModelOptions
from .post_processor import AdaptCLIPPostProcessor
from .tile_resize import squash_to
from .torch_model import AdaptCLIPModel

if TYPE_CHECKING:
    from anomalib.models.components import AnomalibModule as _Host
else:
    _Host = object

CLIP_PREFIX = "model.clip."
_CHECKED = ("model.", "post_processor.")
TOKENS = "model.prompt_memory.tokens"


class FrozenClipMixin(_Host):
    """Methods of a Lightning module around an :class:`AdaptCLIPModel`; to stand before ``AnomalibModule``.

    A mixin, because anomalib finds models among the direct subclasses of ``AnomalibModule`` only.
    """

    model: AdaptCLIPModel
    pre_processor: PreProcessor | None
    image_reader: ImageReader
    clip_identity: ClipIdentity
    given_components: frozenset[str]

    @property
    def input_size(self) -> tuple[int, int] | None:
        """Height and width of the input in pixels, ``None`` if those of an image depend on its own."""
        return None if self.image_input.keeps_sizes else super().input_size

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
        require_types(self.read_images, locals())
        if not files:
            msg = "files must name at least one image; got none."
            raise ValueError(msg)
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

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: Any,  # noqa: ANN401
        map_location: Any = None,  # noqa: ANN401
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = True,
        **kwargs: Any,  # noqa: ANN401
    ) -> Any:  # noqa: ANN401  # a model of this class
        """Load a model from a checkpoint.

        Args:
            checkpoint_path: Path of the file.
            map_location: Where its tensors go, as of ``torch.load``.
            hparams_file: Not possible: the checkpoint has its arguments itself.
            strict: Whether all tensors must fit.
            weights_only: Refuse code in the file.
            **kwargs: Arguments of the constructor that are to be others. They win over those of the checkpoint.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no such checkpoint, or decides what an argument says, or there is no such argument.
        """
        if hparams_file is not None:
            msg = f"The checkpoint holds its arguments itself; got hparams_file={str(hparams_file)!r}. Name arguments."
            raise ValueError(msg)
        require_known(cls, kwargs)
        content = read_checkpoint(checkpoint_path)
        record = CheckpointRecord.from_checkpoint(content)
        require_lightning(content)
        saved = content["hyper_parameters"]
        require_known_saved(cls, saved)
        require_undecided(kwargs, saved, record)
        kwargs = with_dependents(kwargs, saved)
        return super().load_from_checkpoint(
            checkpoint_path, map_location, None, strict, weights_only is not False, **kwargs
        )

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore anomalib's components, except those that were given, and check that all else fits.

        Raises:
            ValueError: If the checkpoint is no AdaptCLIP's, belongs to another backbone or other weights, or decides
                what was given otherwise.
        """
        record = CheckpointRecord.from_checkpoint(checkpoint)
        record.require_same_clip(self.clip_identity)
        saved = checkpoint.get("hyper_parameters", {})
        require_undecided(given_arguments(type(self), self.hparams), saved, record)
        keep_given(self.given_components, checkpoint)
        super().on_load_checkpoint(checkpoint)
        for name in {*self.given_components, "evaluator", "visualizer"}:  # anomalib saves no more of these than tensors
            put_state_in(name, getattr(self, name), checkpoint)
        self.keep_antialias()
        record.require_same_preprocessing(self.image_input.description)
        state, tokens = checkpoint["state_dict"], "model.prompt_memory.tokens"
        if tokens in state:  # else what is missing is told
            state[tokens] = self.model.prompt_memory.rounded(state[tokens])

    def new_record(self, origin: AdapterOrigin, **parts: Any) -> CheckpointRecord:  # noqa: ANN401
        """What a checkpoint of this model says besides its tensors.

        Args:
            origin: Where its adapters came from.
            **parts: What else a `CheckpointRecord` has.
        """
        return CheckpointRecord(
            self.clip_identity,
            origin,
            self.model.options,
            preprocessing=self.image_input.description,
            input_size=self.input_size,
            **parts,
        )

    def leave_clip_out(self, checkpoint: dict[str, Any]) -> None:
        """Take CLIP's weights out of a checkpoint: they are large, never change, and can be had elsewhere.

        So is what Lightning saves of anomalib's components as callbacks: their state is among the model's.
        """
        for name in COMPONENTS:
            checkpoint.get("callbacks", {}).pop(getattr(getattr(self, name), "state_key", None), None)
        checkpoint["hyper_parameters"] = plain(dict(checkpoint["hyper_parameters"]))
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
        return squash_to(image_size or (518, 518))


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
        {key: tensor for key, tensor in state.items() if key.startswith(_CHECKED) and not key.startswith(CLIP_PREFIX)}
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
    return backbone, require_image_size(backbone.image_size if image_size is None else image_size, backbone.patch_size)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint, of whatever model.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged, or holds code.
    """
    require_types(read_checkpoint, locals())
    if not Path(path).is_file():
        msg = f"There is no checkpoint {path}. `anomalib train` writes one: weights/lightning/model.ckpt."
        raise FileNotFoundError(msg)
    content: dict[str, Any] = read_torch_file(Path(path))
    return content


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
