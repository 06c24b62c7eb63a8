# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""AdaptCLIPTraining: train the adapters on a base data set, once, for use on any other.

Example:
    >>> from anomalib.engine import Engine
    >>> from anomalib_adaptclip import AdaptCLIPTraining, QueryPromptDataModule
    >>> datamodule = QueryPromptDataModule(base="MVTecAD", target="Visa")  # doctest: +SKIP
    >>> Engine().fit(AdaptCLIPTraining(), datamodule=datamodule)  # doctest: +SKIP
"""

import json
import logging
import warnings
from collections.abc import Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from anomalib import LearningType
from anomalib.metrics import Evaluator
from anomalib.visualization import Visualizer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import nn

from anomalib_adaptclip.adapters.adapter_file import ADAPTER_FILE, HEADER_OPTIONS, write_adapter_file
from anomalib_adaptclip.adapters.sources import NONE
from anomalib_adaptclip.clip import Clip, ImageTokens
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch
from anomalib_adaptclip.data.query_prompt_data_module import QueryPromptDataModule
from anomalib_adaptclip.files.run_folder import share_results_folder
from anomalib_adaptclip.model.fusion import Fusion
from anomalib_adaptclip.model.lightning_model import AdaptCLIP
from anomalib_adaptclip.model.torch_model import ADAPTERS, AdapterName, Mode, require_options

from .batch_norm import synchronize_batch_norms
from .losses import AdapterLoss, adapter_loss
from .resuming import require_same_options
from .target_evaluation import TargetEvaluation, align_pairs
from .token_cache import TokenCache, module_digest, pack_tokens, packed_rows, unpack_tokens

logger = logging.getLogger(__name__)

_PACKAGES = ("anomalib-adaptclip", "anomalib", "open_clip_torch", "torch")
LIGHTNING_EPOCHS = 1000  # the trainer's max_epochs where nobody sets it


class AdaptCLIPTraining(AdaptCLIP):
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
        learning_rate: Of Adam.
        betas: Of Adam.
        epochs: Epochs to train where the trainer's ``max_epochs`` is not set.
        seed: Of the adapters' first weights, and of the draw of the target's prompts.
        cache_dir: Folder for CLIP's tokens, which are then computed once. About 4 times D numbers of 2 bytes a patch.
        fusion: As for :class:`AdaptCLIP`, for validation.
        pre_processor: Pre-processor or flag to use the default: resize, bicubic, and CLIP's statistics.
        post_processor: Post-processor or flag; none by default, for it keeps every pixel of the target.
        evaluator: Further metrics, computed on one-shot predictions.
        visualizer: Visualizer or flag; none by default.

    Raises:
        ValueError: If an argument is out of range.
        ConnectionError: If CLIP's weights cannot be downloaded.
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
        fusion: Fusion = "published",
        pre_processor: nn.Module | bool = True,
        post_processor: nn.Module | bool = False,
        evaluator: Evaluator | bool = False,
        visualizer: Visualizer | bool = False,
    ) -> None:
        require_options(adapter_names, fusion, mode)
        self._sizes = {"prompt_length": prompt_length, "reduction": reduction, "hidden_dim": hidden_dim, "mode": mode}
        super().__init__(
            class_name=class_name,
            backbone=backbone,
            pretrained=pretrained,
            adapters=NONE,
            seed=seed,
            image_size=image_size,
            adapter_names=adapter_names,
            context=context,
            topk=topk,
            fusion=fusion,
            pre_processor=pre_processor,
            post_processor=post_processor,
            evaluator=evaluator,
            visualizer=visualizer,
        )
        self.learning_rate = learning_rate
        self.betas = (betas[0], betas[1])
        self.epochs = epochs
        self.cache_dir = None if cache_dir is None else Path(cache_dir)
        self.token_cache: TokenCache | None = None
        self._evaluation: TargetEvaluation | None = None

    def _configure_adapters(self, clip: Clip, source: str, names: Sequence[AdapterName]) -> None:
        """Build the model with untrained adapters."""
        super()._configure_adapters(clip, source, names)
        self._options |= self._sizes | {"adapters": list(names)}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            self.model = self._build(clip)

    @property
    def learning_type(self) -> LearningType:
        """One-class: the only type for which anomalib trains."""
        return LearningType.ONE_CLASS

    def __setattr__(self, name: str, value: Any) -> None:  # noqa: ANN401
        """Let Lightning accept what anomalib's ``--optimizer`` sets: the method of a partial, into which it looks."""
        function = getattr(value, "__func__", None)
        if name == "configure_optimizers" and isinstance(function, partial):
            function.__wrapped__ = function.func  # type: ignore[attr-defined]
        super().__setattr__(name, value)

    @property
    def trainer_arguments(self) -> dict[str, Any]:
        """No sanity check: a few images of the target have no AUROC."""
        return {"num_sanity_val_steps": 0}

    def configure_optimizers(self) -> torch.optim.Optimizer:  # type: ignore[override]
        """Adam over the adapters, without schedule."""
        return torch.optim.Adam(self.model.adapters.parameters(), lr=self.learning_rate, betas=self.betas)

    def setup(self, stage: str) -> None:
        """Check the data module, and set what depends on the trainer."""
        super().setup(stage)
        share_results_folder(self.trainer)
        self.token_cache = None  # of another run, with other images perhaps
        if isinstance(datamodule := getattr(self.trainer, "datamodule", None), QueryPromptDataModule):
            datamodule.use_tokens(None)
        if stage != "fit":
            return
        self._datamodule()
        if not self.model.adapters:
            msg = f"There is nothing to train: adapter_names is empty. Choose out of {list(ADAPTERS)}."
            raise ValueError(msg)
        if self.trainer.max_epochs == LIGHTNING_EPOCHS:
            self.trainer.fit_loop.max_epochs = self.epochs
            logger.info("The trainer's max_epochs was not set: training for %d epochs.", self.epochs)
        if self.trainer.world_size > 1:
            synchronize_batch_norms(self.model.adapters, self.trainer.strategy.root_device)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what a checkpoint holds; training goes on with the options that it began with only.

        Raises:
            ValueError: If the options differ, or the checkpoint belongs to another CLIP.
        """
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            require_same_options(checkpoint.get("hyper_parameters", {}), self.hparams)
        super().on_load_checkpoint(checkpoint)

    def _datamodule(self) -> QueryPromptDataModule:
        datamodule = getattr(self.trainer, "datamodule", None)
        if isinstance(datamodule, QueryPromptDataModule):
            return datamodule
        found = type(datamodule).__name__ if datamodule else "no data module"
        msg = (
            f"AdaptCLIPTraining learns from pairs of queries and prompts and got {found}. Wrap the data set: --data "
            "QueryPromptDataModule --data.base MVTecAD, or QueryPromptDataModule(base='MVTecAD')."
        )
        raise TypeError(msg)

    def on_fit_start(self) -> None:
        """Log what is trained on, fill the cache, and encode the static texts."""
        warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # CLIP, as intended
        self.model.train()
        datamodule = self._datamodule()
        for line in datamodule.summary().splitlines():
            rank_zero_info(line)
        if self.cache_dir is not None:
            self._use_cache(self.cache_dir, datamodule)
        self.model.encode_texts()

    def training_step(self, batch: QueryPromptBatch, batch_idx: int) -> torch.Tensor:
        """Loss of a batch: the sum over adapters, their layers, and both parts.

        Raises:
            FloatingPointError: If it is not finite; the files of the batch are named.
        """
        del batch_idx
        query, prompt = self._encode_pairs(batch)
        outputs = self.model.adapter_outputs(query, align_pairs(query, prompt))
        label, mask = torch.as_tensor(batch.gt_label).long(), torch.as_tensor(batch.gt_mask).float()
        with torch.autocast(self.device.type, enabled=False):
            parts = {
                f"{name}_{part}": value
                for name, layers in outputs.items()
                for part, value in _total([adapter_loss(output, label, mask) for output in layers])._asdict().items()
            }
        loss = torch.stack([*parts.values()]).sum()
        self._require_finite(loss, batch)
        logged = {f"train_{name}": value.detach() for name, value in {**parts, "loss": loss}.items()}
        self.log_dict(logged, on_step=True, on_epoch=True, batch_size=len(label), sync_dist=True)
        self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=len(label))
        return loss

    def on_train_epoch_end(self) -> None:
        """Write the adapters beside the checkpoint."""
        callback = self.trainer.checkpoint_callback
        folder = Path(getattr(callback, "dirpath", None) or self.trainer.default_root_dir)
        if self.trainer.is_global_zero:
            write_adapter_file(folder / ADAPTER_FILE, self.model.adapters, self.adapter_metadata())

    def adapter_metadata(self) -> dict[str, str]:
        """Header of the adapter file: what the adapters were trained on, and what they belong to."""
        datamodule = self._datamodule()
        return {
            **self._clip_record(),
            "layers": json.dumps(self.backbone.layers),
            "image_size": json.dumps(self.input_size),
            "options": json.dumps({key: self._options[key] for key in HEADER_OPTIONS}),
            "prompt_length": str(self._options["prompt_length"]),
            "class_name": self._options["class_name"],
            "base": datamodule.base.module_class.__name__,
            "base_categories": json.dumps(datamodule.base_samples.categories),
            "epochs": str(self.current_epoch + 1),
            "versions": json.dumps({name: version(name) for name in _PACKAGES}),
        }

    def on_validation_start(self) -> None:
        """Encode texts and the target's prompts, and start new metrics."""
        self._start_evaluation()

    def on_test_start(self) -> None:
        """Prepare as for validation."""
        self._start_evaluation()

    def validation_step(self, batch: QueryPromptBatch, batch_idx: int, *args: Any, **kwargs: Any) -> STEP_OUTPUT:  # type: ignore[override]  # noqa: ANN401
        """Judge a batch of the target, zero- and one-shot."""
        del args, kwargs, batch_idx
        if self._evaluation is None:
            msg = "A step of validation came before its start."
            raise RuntimeError(msg)
        size = self.input_size or tuple(torch.as_tensor(batch.image).shape[-2:])
        output = self._evaluation.update(self.model, batch, self._encode_queries(batch), (size[0], size[1]))
        updated: STEP_OUTPUT = batch.update(**output._asdict())
        return updated

    def test_step(self, batch: QueryPromptBatch, batch_idx: int, *args: Any, **kwargs: Any) -> STEP_OUTPUT:  # type: ignore[override]  # noqa: ANN401
        """Judge a batch of the target, zero- and one-shot."""
        return self.validation_step(batch, batch_idx, *args, **kwargs)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics on the target."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics on the target."""
        self._log_evaluation("test")

    def _start_evaluation(self) -> None:
        datamodule = self._datamodule()
        self.model.encode_texts()
        categories = datamodule.target_samples.categories if datamodule.target_samples else []
        prompts = datamodule.target_prompts(self.seed)
        self._evaluation = TargetEvaluation(categories, prompts, self._encode_files, self.device)

    def _log_evaluation(self, stage: str) -> None:
        if self._evaluation is not None and self._datamodule().target is not None:
            scores = self._evaluation.scores()
            self.log_dict({f"{stage}_{name}": score for name, score in scores.items()})
            figures = ", ".join(f"{name.replace('_', ' ')} {score:.3f}" for name, score in scores.items())
            rank_zero_info("Epoch %d, target: %s", self.current_epoch, figures)
        self._evaluation = None

    def _encode_pairs(self, batch: QueryPromptBatch) -> tuple[ImageTokens, ImageTokens]:
        """Tokens of queries and prompts, which are encoded as one batch where they are not known."""
        if batch.tokens is not None and batch.prompt_tokens is not None:
            return self._unpack(batch.tokens), self._unpack(batch.prompt_tokens)
        query, prompt = torch.as_tensor(batch.image), torch.as_tensor(self._normalized(batch.prompt_image))
        tokens = self._encode(torch.cat([query, prompt]))
        queries, prompts = slice(len(query)), slice(len(query), None)
        return _take(tokens, queries), _take(tokens, prompts)

    def _encode_queries(self, batch: QueryPromptBatch) -> ImageTokens:
        return self._encode(torch.as_tensor(batch.image)) if batch.tokens is None else self._unpack(batch.tokens)

    def _encode_files(self, files: Sequence[str]) -> ImageTokens:
        if self.token_cache is not None:
            return self._unpack(torch.stack([self.token_cache.read(file) for file in files]).to(self.device))
        return self._encode(torch.cat([self._load_image(file) for file in files]).to(self.device))

    @torch.no_grad()
    def _encode(self, images: torch.Tensor) -> ImageTokens:
        return self.model.encode(images, self.model.layers)

    def _unpack(self, tokens: torch.Tensor) -> ImageTokens:
        return unpack_tokens(tokens, len(self.model.layers), self._grid())

    def _grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        if self.input_size is None:
            msg = "cache_dir needs a pre-processor that resizes, so that all images have the same number of tokens."
            raise ValueError(msg)
        (height, width), (patch_height, patch_width) = self.input_size, self.model.patch_size
        return height // patch_height, width // patch_width

    def _normalized(self, prompt_image: torch.Tensor | None) -> torch.Tensor | None:
        """Pre-process prompts as anomalib's callback does queries."""
        transform = getattr(self.pre_processor, "transform", None)
        return prompt_image if transform is None else transform(prompt_image)

    def _use_cache(self, folder: Path, datamodule: QueryPromptDataModule) -> None:
        """Compute the tokens that are missing, and let the data sets read them instead of images."""
        shape = (packed_rows(len(self.model.layers), self._grid()), self.model.static_pair.shape[1])
        clip = (self.backbone.name, module_digest(self.model.clip.visual), self.model.layers, self.model.first_vv_block)
        cache = TokenCache(folder, [*map(str, clip), repr(self.pre_processor)], shape)
        cache.complete(datamodule.image_files(), self._pack_files, datamodule.eval_batch_size, self.trainer)
        self.token_cache = cache
        datamodule.use_tokens(cache)

    def _pack_files(self, files: Sequence[str]) -> torch.Tensor:
        with torch.autocast(self.device.type, enabled=False):
            return pack_tokens(self._encode_files(files))

    @staticmethod
    def _require_finite(loss: torch.Tensor, batch: QueryPromptBatch) -> None:
        if loss.isfinite():
            return
        pairs = [f"{q} with prompt {p}" for q, p in zip(batch.image_path or (), batch.prompt_path or (), strict=True)]
        msg = (
            f"The loss became {loss.item()} with this batch:\n  " + "\n  ".join(pairs) + "\nTraining stopped; the "
            f"{ADAPTER_FILE} of the last whole epoch is kept. Look at these images, or lower the learning rate."
        )
        raise FloatingPointError(msg)


def _take(tokens: ImageTokens, rows: slice) -> ImageTokens:
    """Some images of a batch."""
    return ImageTokens(tokens.global_token[rows], tuple(layer[rows] for layer in tokens.layers), tokens.grid)


def _total(losses: Sequence[AdapterLoss]) -> AdapterLoss:
    """Sum the losses of the layers, part by part."""
    return AdapterLoss(*(torch.stack(part).sum() for part in zip(*losses, strict=True)))
