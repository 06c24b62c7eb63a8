# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds of each category in a prompt bank, found on its good images alone.

Letters: B batch, K good images, A variants of each (the image itself first), H and W pixels.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from anomalib.data import InferenceBatch

from anomalib_adaptclip.clip import ImageTokens, join_tokens
from anomalib_adaptclip.files.tensors import digest_of
from anomalib_adaptclip.prompts.bank import PromptBank
from anomalib_adaptclip.prompts.bank_scores import ModelScores, Values
from anomalib_adaptclip.results.score_scale import around

from .calibration import CalibrationRecord, Calibrator, score_with
from .thresholds import Thresholds, normal_scores
from .torch_model import AdaptCLIPModel

logger = logging.getLogger(__name__)


def scoring_identity(model: AdaptCLIPModel, preprocessing: str) -> str:
    """Tell by content what the scores of a model depend on, besides CLIP and prompts: scores of others do not fit it.

    Args:
        model: The model, with its adapters.
        preprocessing: What is done to images, in words.

    Returns:
        SHA-256, in hexadecimal.
    """
    options = {name: str(value) for name, value in asdict(model.options).items()}
    weights = digest_of({name: tensor.float() for name, tensor in model.adapters.state_dict().items()})
    return hashlib.sha256(f"{weights} {options} {preprocessing}".encode()).hexdigest()


class BankJudge:
    """Scores good images of a category, each with its mildly changed variants, compared with the others.

    Args:
        model: Model that scores them.
        variants: Makes the preprocessed variants ``(A, 3, H, W)`` of one of the K images, by its place.
        identity: Tells what the scores depend on.
    """

    def __init__(self, model: AdaptCLIPModel, variants: Callable[[int], torch.Tensor], identity: str) -> None:
        self.model = identity
        self._scorer = model
        self._variants = variants

    def __call__(self, row: int, tokens: ImageTokens, prompts: torch.Tensor) -> Values:
        """Score image ``row``, whose own tokens are given, with packed prompts ``(S, K, L, D)``."""
        variants = self._variants(row)
        query = join_tokens([tokens, self._scorer.encode_prompts(variants[1:], tokens.region)])
        self._scorer.encode_texts()
        values: Values = score_with(self._scorer, query, prompts, (variants.shape[-2], variants.shape[-1])).tolist()
        return values


def category_record(scores: ModelScores, model: str, rate: float) -> CalibrationRecord | None:
    """How normal images of a category score.

    Args:
        scores: Scores of its good images.
        model: Identity of the model that is to use them.
        rate: Chosen false-positive rate.

    Returns:
        The record; None if fewer than two images were scored by such a model.
    """
    images = scores.get(model, {})
    if len(images) < 2:
        return None
    variants = min(map(len, images.values()))
    values = torch.tensor([own[:variants] for own in images.values()])  # (K, A, 2)
    return CalibrationRecord(tuple(images), rate, *map(normal_scores, values.unbind(dim=-1)))


class BankCalibrator(Calibrator):
    """Finds the thresholds of each category in a prompt bank.

    Scores and maps are normalised image by image such that the threshold of its category becomes 0.5, which is the one
    that a post-processor has.

    Args:
        rate: As for :class:`Calibrator`.
    """

    def __init__(self, rate: float) -> None:
        super().__init__(rate)
        self.identity = ""
        self._told: set[str] = set()

    @property
    def thresholds(self) -> Thresholds:
        """Those of normalised scores."""
        return Thresholds(0.5, 0.5)

    def is_current(self, files: Sequence[str]) -> bool:
        """The bank brings its scores along."""
        del files
        return True

    def restore(self, record: CalibrationRecord | None, saved: Mapping[str, Any]) -> None:
        """Take over the rate of a checkpoint alone: its scores are those of other prompts."""
        super().restore(record, saved)
        self.record = None

    def prepare(self, identity: str, bank: PromptBank) -> None:
        """Remember whose scores fit, and tell the categories that have none."""
        self.identity = identity
        self.thresholds_of(bank.names, bank)

    def record_of(self, category: str, bank: PromptBank) -> CalibrationRecord | None:
        """How normal images of a category score; None for a category that is unknown or not calibrated."""
        return category_record(bank.scores(category), self.identity, self.rate)

    def thresholds_of(self, categories: Sequence[str], bank: PromptBank) -> list[Thresholds | None]:
        """Thresholds for each image of a batch; None where its category has none, which is told once."""
        records = {name: self.record_of(name, bank) for name in dict.fromkeys(categories)}
        self._tell([name for name, record in records.items() if record is None and name in bank.names])
        return [record.thresholds if (record := records[name]) else None for name in categories]

    def _tell(self, names: Sequence[str]) -> None:
        if new := [name for name in names if name not in self._told]:
            self._told.update(new)
            logger.warning(
                "The prompt bank has no thresholds of %s for these adapters and options: scores of their images are "
                "raw, and there are no labels. Give all their good images, two at least, to `bank-add` with the same "
                "adapters, or to model.add_to_bank.",
                new,
            )

    def normalise(self, output: InferenceBatch, categories: Sequence[str], bank: PromptBank) -> InferenceBatch:
        """Bring the threshold of each image to 0.5; scores and maps of those without one stay raw.

        Args:
            output: Scores ``(B,)`` and maps ``(B, 1, H, W)`` in [0, 1].
            categories: What each image shows, B names.
            bank: The bank.
        """
        scores, maps = torch.as_tensor(output.pred_score).clone(), torch.as_tensor(output.anomaly_map).clone()
        for row, limits in enumerate(self.thresholds_of(categories, bank)):
            if limits:
                scores[row] = around(limits.image).apply(scores[row])
                maps[row] = around(limits.pixel).apply(maps[row])
        return InferenceBatch(pred_score=scores, anomaly_map=maps)


def new_calibrator(calibration: str, rate: float, *, has_bank: bool) -> Calibrator | None:
    """What finds thresholds on normal images; None where labels do."""
    kind = BankCalibrator if has_bank else Calibrator
    return kind(rate) if calibration == "normal" else None
