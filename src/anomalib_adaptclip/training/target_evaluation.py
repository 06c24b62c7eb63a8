# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How well adapters do on a target data set of many categories, zero- and one-shot."""

from collections.abc import Callable, Mapping, Sequence

import torch
from anomalib.data import InferenceBatch

from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch
from anomalib_adaptclip.metrics.target import TargetMetric
from anomalib_adaptclip.model.prediction import predict_each
from anomalib_adaptclip.model.torch_model import AdaptCLIPModel


class TargetEvaluation:
    """One pass over a target.

    Args:
        model: Model that is evaluated.
        categories: Categories of the target.
        prompts: A normal image for each category that has one.
        encode: Computes the tokens of a batch of files at all layers.
        device: Where the metrics add up.
    """

    def __init__(
        self,
        model: AdaptCLIPModel,
        categories: Sequence[str],
        prompts: Mapping[str, str],
        encode: Callable[[Sequence[str]], ImageTokens],
        device: torch.device,
    ) -> None:
        self.model = model
        pack = model.prompt_memory.pack
        self.prompts = {category: pack(encode([path])) for category, path in prompts.items()}
        shots = ["zero_shot", *(["one_shot"] if len(self.prompts) == len(categories) else [])]
        self.metrics = {shot: TargetMetric(categories).to(device) for shot in shots}

    def update(self, batch: QueryPromptBatch, tokens: ImageTokens, size: tuple[int, int]) -> InferenceBatch:
        """Predict a batch by its tokens, zero- and one-shot, and add it to the metrics.

        Args:
            batch: Queries of the target.
            tokens: Their tokens at all layers.
            size: Height and width of the maps in pixels.

        Returns:
            The one-shot predictions, or zero-shot where there are no prompts.
        """
        categories = list(batch.category or ())
        for shot, metric in self.metrics.items():
            prompts = [self.prompts[category] if shot == "one_shot" else None for category in categories]
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
