# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How well adapters do on a target data set of many categories, zero- and one-shot."""

from collections.abc import Callable, Mapping, Sequence

import torch
from anomalib.data import InferenceBatch

from anomalib_adaptclip.adapters import Alignment, align, normalized_patches
from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch
from anomalib_adaptclip.metrics.target import TargetMetric
from anomalib_adaptclip.model.torch_model import AdaptCLIPModel


def align_pairs(query: ImageTokens, prompt: ImageTokens) -> list[Alignment]:
    """Align queries with a prompt each: one alignment a layer."""
    pairs = zip(query.layers, prompt.layers, strict=True)
    return [align(normalized_patches(q), normalized_patches(p)) for q, p in pairs]


class TargetEvaluation:
    """One pass over a target.

    Args:
        categories: Of the target.
        prompts: A normal image for each category that has one.
        encode: Computes the tokens of a batch of files.
        device: Where the metrics add up.
    """

    def __init__(
        self,
        categories: Sequence[str],
        prompts: Mapping[str, str],
        encode: Callable[[Sequence[str]], ImageTokens],
        device: torch.device,
    ) -> None:
        self.prompts = {category: encode([path]) for category, path in prompts.items()}
        shots = ["zero_shot", *(["one_shot"] if len(self.prompts) == len(categories) else [])]
        self.metrics = {shot: TargetMetric(categories).to(device) for shot in shots}

    def update(
        self, model: AdaptCLIPModel, batch: QueryPromptBatch, tokens: ImageTokens, size: tuple[int, int]
    ) -> InferenceBatch:
        """Judge a batch by its tokens, zero- and one-shot, and add it to the metrics.

        Returns:
            The one-shot predictions, or zero-shot where there are no prompts.
        """
        categories = list(batch.category or ())
        for shot, metric in self.metrics.items():
            alignments = align_pairs(tokens, self._prompts_of(categories)) if shot == "one_shot" else []
            output = model.predict(tokens, alignments, size)
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

    def _prompts_of(self, categories: Sequence[str]) -> ImageTokens:
        own = [self.prompts[category] for category in categories]
        layers = tuple(torch.cat(layer) for layer in zip(*(tokens.layers for tokens in own), strict=True))
        return ImageTokens(torch.cat([tokens.global_token for tokens in own]), layers, own[0].grid)
