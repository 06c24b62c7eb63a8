# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How well adapters do on a target data set of many categories, zero- and few-shot."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from anomalib.data import InferenceBatch
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import STEP_OUTPUT

from anomalib_adaptclip.adapters.adapter_slot import AdapterSlot
from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch
from anomalib_adaptclip.data.query_prompt_data_module import QueryPromptDataModule
from anomalib_adaptclip.metrics.target import TargetMetric
from anomalib_adaptclip.model.clip_mixin import FrozenClipMixin
from anomalib_adaptclip.model.prediction import predict_each
from anomalib_adaptclip.model.torch_model import AdaptCLIPModel

from .starting_adapters import warn_of_seen_target
from .token_source import TokenSource


class TargetEvaluation:
    """One pass over a target.

    Args:
        model: Model that is evaluated.
        categories: Categories of the target.
        prompts: Normal images, equally many for each category that has some.
        encode: Computes the tokens of a batch of files at all layers.
        device: Where the metrics add up.
    """

    def __init__(
        self,
        model: AdaptCLIPModel,
        categories: Sequence[str],
        prompts: Mapping[str, Sequence[str]],
        encode: Callable[[Sequence[str]], ImageTokens],
        device: torch.device,
    ) -> None:
        self.model = model
        pack = model.prompt_memory.pack
        self.prompts = {category: pack(encode(paths)) for category, paths in prompts.items()}
        shots = ["zero_shot"]
        if len(self.prompts) == len(categories):
            shots.append("few_shot" if any(len(paths) > 1 for paths in prompts.values()) else "one_shot")
        self.metrics = {shot: TargetMetric(categories).to(device) for shot in shots}

    def update(self, batch: QueryPromptBatch, tokens: ImageTokens, size: tuple[int, int]) -> InferenceBatch:
        """Predict a batch by its tokens, zero- and few-shot, and add it to the metrics.

        Args:
            batch: Queries of the target.
            tokens: Their tokens at all layers.
            size: Height and width of the maps in pixels.

        Returns:
            The few-shot predictions, or zero-shot where there are no prompts.
        """
        categories = list(batch.category or ())
        for shot, metric in self.metrics.items():
            prompts = [None if shot == "zero_shot" else self.prompts[category] for category in categories]
            output = predict_each(self.model, tokens, prompts, size)
            metric.update(
                categories,
                torch.as_tensor(output.pred_score),
                torch.as_tensor(batch.gt_label),
                torch.as_tensor(output.anomaly_map),
                batch.gt_mask,
            )
        return output

    def scores(self) -> dict[str, float]:
        """Metrics that are defined, named like ``one_shot_image_AUROC``."""
        found: dict[str, float | None] = {}
        for shot, metric in self.metrics.items():
            scores = metric.compute()
            found |= {f"{shot}_image_AUROC": scores.image_auroc, f"{shot}_pixel_AUPR": scores.pixel_aupr}
        return {name: score for name, score in found.items() if score is not None}


class TargetEvaluationMixin(FrozenClipMixin):
    """Validates and tests a model on the target of its data module; to stand before ``AnomalibModule``."""

    adapter_slot: AdapterSlot
    tokens: TokenSource
    seed: int
    k_shot: int
    _evaluation: TargetEvaluation | None = None

    def pairs(self) -> QueryPromptDataModule:
        """The data module, which must be one of pairs."""
        datamodule = self.current_datamodule()
        if isinstance(datamodule, QueryPromptDataModule):
            return datamodule
        found = type(datamodule).__name__ if datamodule else "no data module"
        msg = (
            f"AdaptCLIPTraining learns from pairs of queries and prompts and got {found}. Wrap the data set: --data "
            "QueryPromptDataModule --data.base MVTecAD, or QueryPromptDataModule(base='MVTecAD')."
        )
        raise TypeError(msg)

    def on_validation_start(self) -> None:
        """Encode texts and the target's prompts, and start new metrics."""
        self._start_evaluation()

    def on_test_start(self) -> None:
        """Prepare as for validation, and tell if the adapters had seen the target before they were trained on."""
        warn_of_seen_target(self.adapter_slot.origin, self.pairs().target)
        self._start_evaluation()

    def validation_step(self, batch: QueryPromptBatch, batch_idx: int, *args: Any, **kwargs: Any) -> STEP_OUTPUT:  # noqa: ANN401
        """Predict a batch of the target, zero- and few-shot."""
        del args, kwargs, batch_idx
        if self._evaluation is None:
            msg = "A step of validation came before its start."
            raise RuntimeError(msg)
        size = self.input_size or tuple(torch.as_tensor(batch.image).shape[-2:])
        output = self._evaluation.update(batch, self.tokens.of_queries(batch), (size[0], size[1]))
        updated: STEP_OUTPUT = batch.update(**output._asdict())
        return updated

    def test_step(self, batch: QueryPromptBatch, batch_idx: int, *args: Any, **kwargs: Any) -> STEP_OUTPUT:  # type: ignore[override]  # noqa: ANN401
        """Predict a batch of the target, zero- and few-shot."""
        return self.validation_step(batch, batch_idx, *args, **kwargs)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics on the target."""
        self._log_evaluation("val")

    def on_test_epoch_end(self) -> None:
        """Log the metrics on the target."""
        self._log_evaluation("test")

    def _start_evaluation(self) -> None:
        datamodule = self.pairs()
        self.model.encode_texts()
        categories = datamodule.target_samples.categories if datamodule.target_samples else []
        prompts = datamodule.target_prompts(self.seed, self.k_shot)
        self._evaluation = TargetEvaluation(self.model, categories, prompts, self.tokens.of_files, self.device)

    def _log_evaluation(self, stage: str) -> None:
        if self._evaluation is not None and self.pairs().target is not None:
            scores = self._evaluation.scores()
            self.log_dict({f"{stage}_{name}": score for name, score in scores.items()})
            figures = ", ".join(f"{name.replace('_', ' ')} {score:.3f}" for name, score in scores.items())
            rank_zero_info("Epoch %d, target: %s", self.current_epoch, figures)
        self._evaluation = None
