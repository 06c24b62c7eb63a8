# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIPTraining: train the adapters on a base data set, once, for use on any other.

Example:
    >>> from anomalib.engine import Engine
    >>> from anomalib_adaptclip import AdaptCLIPTraining, QueryPromptDataModule
    >>> datamodule = QueryPromptDataModule(base="MVTecAD", target="Visa")  # doctest: +SKIP
    >>> Engine().fit(AdaptCLIPTraining(), datamodule=datamodule)  # doctest: +SKIP
"""

import logging
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from anomalib import LearningType
from anomalib.metrics import Evaluator
from anomalib.models.components import AnomalibModule
from anomalib.visualization import Visualizer
from lightning.pytorch import Callback
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info, rank_zero_only
from torch import nn

from anomalib_adaptclip.adapters import ADAPTERS, AdapterName, Mode, align_pairs
from anomalib_adaptclip.adapters.adapter_choice import NONE
from anomalib_adaptclip.adapters.adapter_file import ADAPTER_FILE, write_adapter_file
from anomalib_adaptclip.adapters.adapter_slot import AdapterSlot
from anomalib_adaptclip.clip import load_clip, seeded
from anomalib_adaptclip.data.base_warnings import base_warnings
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch
from anomalib_adaptclip.data.query_prompt_data_module import QueryPromptDataModule
from anomalib_adaptclip.data.reading import ReadingCallback
from anomalib_adaptclip.files.image_reader import ImageReader
from anomalib_adaptclip.files.run_folder import share_results_folder
from anomalib_adaptclip.model.checkpoint_record import CHECKPOINT_KEY, CheckpointRecord
from anomalib_adaptclip.model.clip_mixin import build_model, resolve_backbone
from anomalib_adaptclip.model.fusion import Fusion
from anomalib_adaptclip.model.given_arguments import given_arguments, require_arguments
from anomalib_adaptclip.model.model_options import ModelOptions, resolve_fusion

from .batch_norm import synchronize_batch_norms
from .default_epochs import DefaultEpochsMixin
from .image_heads import freeze_maps, parts_of_maps, unmasked_message
from .losses import adapter_loss, require_finite, total_loss
from .resuming import require_same_options
from .starting_adapters import describe_start, require_start, starting_options, warn_of_seen_target
from .target_evaluation import TargetEvaluationMixin
from .token_cache import require_cache_folder
from .token_source import TokenSource
from .trained_header import trained_header
from .training_options import require_training

_warn = rank_zero_only(logging.getLogger(__name__).warning)


class AdaptCLIPTraining(DefaultEpochsMixin, TargetEvaluationMixin, AnomalibModule):  # type: ignore[misc]  # as anomalib's own class
    """Train AdaptCLIP's adapters. CLIP stays frozen; defaults are those of the published adapters.

    Needs a :class:`QueryPromptDataModule`. After each epoch the adapters are written as ``adapters.safetensors`` beside
    the checkpoint, for ``AdaptCLIP(adapters=PATH)``, and zero- and one-shot image AUROC and pixel AUPR on the target
    are logged, each the mean over its categories.

    Args:
        backbone: As for :class:`AdaptCLIP`.
        pretrained: As for :class:`AdaptCLIP`.
        class_name: What the images show, for the static texts. One for all categories.
        image_size: Height and width of the input in pixels, multiples of the patch. The backbone's usual by default.
        mode: ``"alternating"``: visual and textual adapter learn apart. ``"joint"``: both see adapted tokens and
            learned texts (the paper's Table 5, line 3).
        adapter_names: Adapters to train, out of ``"visual"``, ``"textual"`` and ``"prompt_query"``. Without any only
            tests are possible: those of plain CLIP.
        context: Let the prompt-query adapter see the query itself, not only the aligned residual.
        topk: Largest positions that its image head pools.
        prompt_length: Context vectors of each learned text prompt.
        reduction: Bottleneck of the visual adapter's residual MLPs.
        hidden_dim: Features in the heads of the prompt-query adapter.
        learning_rate: Learning rate of Adam.
        betas: Coefficients of Adam's running averages.
        epochs: Epochs to train where the trainer is given no limit: no ``max_epochs``, steps or time.
        seed: Seed for the adapters' first weights, and for drawing the target's prompts.
        cache_dir: Folder for CLIP's tokens, which are then computed once. About 4 times D numbers of 2 bytes a patch.
        fusion: As for :class:`AdaptCLIP`, for validation.
        white_level: As for :class:`AdaptCLIP`.
        adapters: Adapters to go on from: ``"mvtec"``, ``"visa"``, ``"generated"`` for those of `tiny`, or a file.
            ``"none"`` starts from random ones. Their sizes, and the options that their file tells, go with them.
        k_shot: Normal images that serve as prompts in validation and test, for each category of the target.
        pre_processor: Pre-processor or flag to use the default: resize, bicubic, and CLIP's statistics.
        post_processor: Post-processor or flag; none by default, for it keeps every pixel of the target.
        evaluator: Further metrics, computed on one-shot predictions.
        visualizer: Visualizer or flag; none by default.

    Raises:
        ValueError: If an argument is out of range, or the adapters belong to another CLIP.
        FileNotFoundError: If there is no such file of adapters.
        ConnectionError: If weights cannot be downloaded.
    """

    def __init__(
        self,
        backbone: str = "ViT-L-14-336",
        pretrained: Path | str | None = None,
        class_name: str = "object",
        image_size: int | tuple[int, int] | None = None,
        mode: Mode = "alternating",
        adapter_names: Sequence[AdapterName] = ADAPTERS,
        context: bool = True,
        topk: int = 10,
        prompt_length: int = 12,
        reduction: int = 4,
        hidden_dim: int = 128,
        learning_rate: float = 1e-3,
        betas: tuple[float, float] = (0.5, 0.999),
        epochs: int = 15,
        seed: int = 10,
        cache_dir: Path | str | None = None,
        fusion: Fusion | None = None,
        white_level: float | None = None,
        adapters: str | Path = NONE,
        k_shot: int = 1,
        pre_processor: nn.Module | bool = True,
        post_processor: nn.Module | bool = False,
        evaluator: Evaluator | bool = False,
        visualizer: Visualizer | bool = False,
    ) -> None:
        components, given = require_arguments(AdaptCLIPTraining, locals()), given_arguments(AdaptCLIPTraining, locals())
        require_training(learning_rate, betas, epochs, k_shot)
        options = ModelOptions(
            tuple(adapter_names),
            context,
            topk,
            mode,
            prompt_length,
            reduction,
            hidden_dim,
            class_name,
            resolve_fusion(fusion, backbone),
        )
        reader = ImageReader(white_level)
        spec, size = resolve_backbone(backbone, image_size)
        require_start(str(adapters), spec)
        super().__init__(
            pre_processor=self.configure_pre_processor(size) if pre_processor is True else pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.given_components = components
        self.image_reader = reader
        self.require_input_size(size, spec.patch_size)
        self.keep_antialias()
        self.learning_rate = learning_rate
        self.betas = (betas[0], betas[1])
        self.epochs = epochs
        self.seed = seed
        self.k_shot = k_shot
        self.cache_dir = None if cache_dir is None else require_cache_folder(cache_dir)
        loaded = load_clip(backbone, pretrained)
        self.backbone = loaded.backbone
        self.clip_identity = loaded.identity()  # now, for a trainer may change the precision
        self.adapter_slot = AdapterSlot(str(adapters), self.backbone)
        file = self.adapter_slot.read_known()
        with seeded(seed):
            options = starting_options(file, options, given) if file else options
            self.model = build_model(loaded.clip, self.backbone, options)
        if file:
            self.adapter_slot.install(file, self.model.load_adapters, self.clip_identity)
        self.tokens = self._new_token_source()

    def _new_token_source(self) -> TokenSource:
        return TokenSource(self.model, self.image_input, self.input_size)

    @property
    def learning_type(self) -> LearningType:
        """One-class: the only type for which anomalib trains."""
        return LearningType.ONE_CLASS

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """No sanity check: a few images of the target have no AUROC."""
        return {"num_sanity_val_steps": 0}

    def configure_callbacks(self) -> list[Callback]:
        """anomalib's; Lightning calls this before it looks into ``configure_optimizers``, which must bear the look.

        anomalib's ``--optimizer`` makes it a method of a partial; Lightning follows ``__wrapped__`` to a function.
        """
        function = getattr(self.configure_optimizers, "__func__", None)
        if isinstance(function, partial):
            function.__wrapped__ = function.func  # type: ignore[attr-defined]
        return [ReadingCallback(), *cast("Sequence[Callback]", super().configure_callbacks())]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over the adapters, without schedule."""
        return torch.optim.Adam(self.model.adapters.parameters(), lr=self.learning_rate, betas=self.betas)

    def setup(self, stage: str) -> None:
        """Check the data module, and set what depends on the trainer."""
        share_results_folder(self.trainer)
        self.tokens = self._new_token_source()  # a cache is of another run, with other images perhaps
        datamodule = self.current_datamodule()
        if isinstance(datamodule, QueryPromptDataModule):
            datamodule.use_tokens(None)
        if stage != "fit":
            return
        self.pairs()
        if not self.model.adapters:
            msg = f"There is nothing to train: adapter_names is empty. Choose out of {list(ADAPTERS)}."
            raise ValueError(msg)
        self._make_trainable()

    def _make_trainable(self) -> None:
        """Let the adapters learn from what the trainer and its data can give."""
        if self.trainer.world_size > 1:
            synchronize_batch_norms(self.model.adapters, self.trainer.strategy.root_device)
        self.model.adapters.requires_grad_(True)
        if not self.pairs().trains_maps:
            freeze_maps(self.model.adapters)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the adapters, and what they belong to. CLIP stays out."""
        super().on_save_checkpoint(checkpoint)
        self.leave_clip_out(checkpoint)
        checkpoint[CHECKPOINT_KEY] = self.new_record(self.adapter_slot.origin).to_dict()
        checkpoint["hyper_parameters"]["adapters"] = NONE  # they are in the checkpoint, which needs their file no more

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what a checkpoint holds; training goes on with the options that it began with only.

        Raises:
            ValueError: If the options differ, or the checkpoint belongs to another CLIP.
        """
        if self.is_fitting():
            require_same_options(checkpoint.get("hyper_parameters", {}), self.hparams)
        record = CheckpointRecord.from_checkpoint(checkpoint)
        super().on_load_checkpoint(checkpoint)  # which puts given components in
        self.adapter_slot.restore(record.origin)
        if record.options != self.model.options:  # of a test, or of adapters to go on from: the checkpoint decides
            self.model = build_model(self.model.clip, self.backbone, record.options)
            self.tokens = self._new_token_source()
            if self.is_fitting():
                self._make_trainable()
        self.put_clip_in(checkpoint)

    def is_fitting(self) -> bool:
        """Whether a trainer is training this model."""
        with suppress(RuntimeError):  # there is no trainer
            return bool(self.trainer.state.fn == TrainerFn.FITTING)
        return False

    def on_fit_start(self) -> None:
        """Log what is trained on, fill the cache, and encode the static texts."""
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # CLIP, as intended
        self.model.train()
        datamodule = self.pairs()
        if not datamodule.trains_maps:
            for part in parts_of_maps(self.model.adapters):
                part.eval()
        for line in (describe_start(self.adapter_slot.origin), *datamodule.summary().splitlines()):
            rank_zero_info(line)
        warnings_of_data = base_warnings(datamodule.base_samples)
        if not datamodule.trains_maps:
            warnings_of_data.append(unmasked_message(self.adapter_slot.origin.source == NONE))
        for line in warnings_of_data:
            _warn(line)
        warn_of_seen_target(self.adapter_slot.origin, datamodule.target)
        if self.cache_dir is not None:
            self.tokens.fill_cache(self.cache_dir, datamodule, self.trainer, self.backbone.name)
        self.model.encode_texts()

    def training_step(self, batch: QueryPromptBatch, batch_idx: int) -> torch.Tensor:
        """Loss of a batch: the sum over adapters, their layers, and both parts.

        Raises:
            FloatingPointError: If it is not finite; the files of the batch are named.
        """
        del batch_idx
        query, prompt = self.tokens.of_pairs(batch)
        outputs = self.model.adapter_outputs(query, align_pairs(query.layers, prompt.layers))
        label = torch.as_tensor(batch.gt_label).long()
        mask = None if batch.gt_mask is None else torch.as_tensor(batch.gt_mask).float()
        with torch.autocast(self.device.type, enabled=False):
            losses = {
                name: total_loss([adapter_loss(output, label, mask, batch.has_mask) for output in layers])
                for name, layers in outputs.items()
            }
        parts = {f"{name}_{part}": value for name, loss in losses.items() for part, value in loss._asdict().items()}
        loss = torch.stack([*parts.values()]).sum()
        require_finite(loss, batch)
        logged = {f"train_{name}": value.detach() for name, value in {**parts, "loss": loss}.items()}
        self.log_dict(logged, on_step=True, on_epoch=True, batch_size=len(label), sync_dist=True)
        self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=len(label))
        return loss

    def on_train_epoch_end(self) -> None:
        """Write the adapters beside the checkpoint."""
        callback = self.trainer.checkpoint_callback
        folder = Path(getattr(callback, "dirpath", None) or self.trainer.default_root_dir)
        if self.trainer.is_global_zero:
            header = trained_header(
                self.model,
                self.clip_identity,
                self.adapter_slot.origin,
                self.pairs(),
                self.input_size,
                self.current_epoch + 1,
            )
            write_adapter_file(folder / ADAPTER_FILE, self.model.adapters, header)
