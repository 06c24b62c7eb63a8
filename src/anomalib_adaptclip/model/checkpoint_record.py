# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a checkpoint of AdaptCLIP says besides its tensors: one typed record, read, checked and written here."""

import logging
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from anomalib_adaptclip.adapters.adapter_slot import AdapterOrigin
from anomalib_adaptclip.clip import ClipIdentity
from anomalib_adaptclip.files.plain_data import build_record
from anomalib_adaptclip.files.tensors import is_finite, require_finite, require_state
from anomalib_adaptclip.version import __version__

from .calibration import CalibrationRecord
from .model_options import ModelOptions

logger = logging.getLogger(__name__)

CHECKPOINT_KEY = "adaptclip"
CALIBRATED_PREFIX = "post_processor."


@dataclass(frozen=True)
class CheckpointRecord:
    """The record in a checkpoint, under the key ``adaptclip``.

    Attributes:
        clip: The CLIP that the checkpoint belongs to; it does not hold CLIP itself.
        origin: Where its adapters came from.
        options: Options of the model.
        prompt_files: Its prompt images, none for zero-shot.
        prompt_preprocessing: What was done to them.
        calibration: Thresholds of normal images, if such were found.
        prompt_bank: Path of the prompt bank that it was made with, empty without.
        preprocessing: What was done to images, in words.
        input_size: Height and width of the model's input in pixels, where the pre-processor sets them.
        calibrated: Names of the post-processor's thresholds and extremes that were found.
        version: Version of this package that wrote it.
    """

    clip: ClipIdentity
    origin: AdapterOrigin
    options: ModelOptions
    prompt_files: tuple[str, ...] = ()
    prompt_preprocessing: str = ""
    calibration: CalibrationRecord | None = None
    prompt_bank: str = ""
    preprocessing: str = ""
    input_size: tuple[int, int] | None = None
    calibrated: tuple[str, ...] = ()
    version: str = __version__

    @classmethod
    def from_checkpoint(cls, checkpoint: object) -> "CheckpointRecord":
        """Read the record of a checkpoint.

        Raises:
            ValueError: If the checkpoint is no AdaptCLIP's, or its record is damaged.
        """
        content: dict[str, Any] = checkpoint if isinstance(checkpoint, dict) else {}
        record = content.get(CHECKPOINT_KEY)
        if record is None:
            msg = (
                "This is no checkpoint of AdaptCLIP: it lacks the record of backbone and adapters. Give one that "
                "`anomalib train --model AdaptCLIP` wrote, weights/lightning/model.ckpt."
            )
            raise ValueError(msg)
        try:
            found = build_record(cls, record)
            found.require_sound_state(content.get("state_dict"))
        except ValueError as error:
            msg = (
                f"This checkpoint of AdaptCLIP is damaged: {str(error).rstrip('.')}. Train it anew, with this version."
            )
            raise ValueError(msg) from error
        return found

    def require_sound_state(self, state: object) -> None:
        """Check the tensors of a checkpoint: finite, but for thresholds that were not found when it was written.

        Args:
            state: Its state dict.

        Raises:
            ValueError: If a tensor or a threshold is not finite, or it is no state dict.
        """
        tensors = require_state("the checkpoint", state, are_finite=False)
        missing = {key for key in tensors if key.startswith(CALIBRATED_PREFIX)} - {*self.calibrated}
        require_finite("the checkpoint", {key: tensor for key, tensor in tensors.items() if key not in missing})
        if infinite := [key for key in missing if torch.as_tensor(tensors[key]).isinf().any()]:
            msg = f"{infinite} are infinite"
            raise ValueError(msg)
        if self.calibration and not all(map(math.isfinite, (self.calibration.rate, *self.calibration.thresholds))):
            msg = f"its calibration is {self.calibration}"
            raise ValueError(msg)

    def to_dict(self, state: Mapping[str, torch.Tensor] | None = None) -> dict[str, Any]:
        """The record as plain data, which ``torch.load(weights_only=True)`` reads.

        Args:
            state: State dict of the checkpoint, which tells the thresholds that were found.
        """
        state = state or {}
        names = [key for key in state if key.startswith(CALIBRATED_PREFIX) and is_finite(state[key])]
        record: dict[str, Any] = plain(asdict(replace(self, calibrated=tuple(names))))
        return record

    def require_same_clip(self, clip: ClipIdentity) -> None:
        """Check that the checkpoint belongs to a model's CLIP.

        Raises:
            ValueError: If it belongs to another.
        """
        if (self.clip.backbone, self.clip.fingerprint) == (clip.backbone, clip.fingerprint):
            return
        msg = (
            f"The checkpoint was made with the backbone {self.clip.backbone} and weights {self.clip.weights}, the "
            f"model has {clip.backbone} and {clip.weights}, and their tokens are not alike. Build the model with "
            f"backbone={self.clip.backbone!r} and those weights."
        )
        raise ValueError(msg)

    def require_same_preprocessing(self, preprocessing: str) -> None:
        """Check that a model does to images what was done when the checkpoint was made.

        Raises:
            ValueError: If it does something else.
        """
        if preprocessing != self.preprocessing:
            found, own = (" ".join(text.split()) for text in (self.preprocessing, preprocessing))
            msg = (
                f"The checkpoint was made with images preprocessed by {found}; the model has {own}. Give the "
                "pre_processor that it was made with (False where there was None), or leave the checkpoint out."
            )
            raise ValueError(msg)

    def warn_of_other_prompts(self, has_bank: bool, has_shots: bool) -> None:
        """Tell if the thresholds belong to scores of another kind than those of the model that loads them.

        Args:
            has_bank: Whether the model has a prompt bank.
            has_shots: Whether it is to draw prompts of its own.
        """
        had = _kind_of_prompts(bool(self.prompt_bank), bool(self.prompt_files))
        has = _kind_of_prompts(has_bank, has_shots or bool(self.prompt_files))
        if had != has:
            logger.warning(
                "The checkpoint was made with %s, and the model has %s: the checkpoint's thresholds do not fit its "
                "scores. Give the model what the checkpoint had, or validate it anew.",
                ", ".join(filter(None, (had, self.prompt_bank))),
                has,
            )


def require_lightning(checkpoint: dict[str, Any]) -> None:
    """Check that a checkpoint has what Lightning needs to build a model from it.

    Raises:
        ValueError: If it lacks the model's arguments.
    """
    if not isinstance(checkpoint.get("hyper_parameters"), dict):
        msg = (
            "This checkpoint lacks the mapping hyper_parameters, the model's arguments: it is no checkpoint of a "
            "trainer. Give one that `anomalib train` wrote."
        )
        raise ValueError(msg)  # noqa: TRY004  # a wrong file


def _kind_of_prompts(has_bank: bool, has_prompts: bool) -> str:
    return "a prompt bank" if has_bank else "prompts" if has_prompts else "no prompts"


def plain(value: Any) -> Any:  # noqa: ANN401
    """Lists in place of tuples, and Python's numbers in place of NumPy's, which ``weights_only=True`` refuses."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value
