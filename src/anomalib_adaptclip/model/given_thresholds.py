# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds and sensitivities that users give: they come before those that were found."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from anomalib.post_processing import PostProcessor

from .calibration import Calibrator
from .thresholds import fill_thresholds

_KINDS = ("image", "pixel")


@dataclass(frozen=True)
class GivenThresholds:
    """What users say of labels, each None if they do not.

    Attributes:
        image_threshold: Raw score in [0, 1] that abnormal images exceed.
        pixel_threshold: Raw value of the map in [0, 1] that abnormal pixels exceed.
        image_sensitivity: anomalib's, in [0, 1]: 1 minus the threshold of normalised scores.
        pixel_sensitivity: The same of the map.
    """

    image_threshold: float | None
    pixel_threshold: float | None
    image_sensitivity: float | None
    pixel_sensitivity: float | None

    @property
    def fixed(self) -> dict[str, float]:
        """Thresholds of raw scores that are given, by ``"image"`` and ``"pixel"``."""
        return {kind: value for kind in _KINDS if (value := getattr(self, f"{kind}_threshold")) is not None}

    def require_range(self, post_processor: object) -> None:
        """Check the arguments.

        Args:
            post_processor: Post-processor, or flag.

        Raises:
            ValueError: If a number is not in [0, 1], or there is no post-processor that could use it.
        """
        given = {name: value for name, value in vars(self).items() if value is not None}
        for name, value in given.items():
            if not 0 <= value <= 1:
                msg = f"{name} must be in [0, 1], as scores and maps are; got {value}."
                raise ValueError(msg)
        is_usable = post_processor is True or isinstance(post_processor, PostProcessor)
        if given and not is_usable:
            msg = f"{[*given]} are of anomalib's PostProcessor, and there is none. Give one, or leave them out."
            raise ValueError(msg)
        if self.fixed and isinstance(post_processor, PostProcessor) and not post_processor.enable_normalization:
            msg = (
                "image_threshold and pixel_threshold need a PostProcessor with normalisation: without it anomalib "
                f"compares scores with 0.5. Give such a one, or leave them out; got {self.fixed}."
            )
            raise ValueError(msg)

    def apply(self, post_processor: object, calibrator: Calibrator | None = None) -> None:
        """Give anomalib's post-processor thresholds and sensitivities that are given or were found on normal images."""
        if isinstance(post_processor, PostProcessor):
            self.put_in(post_processor.state_dict(), calibrator)  # it shares its tensors
            for kind in _KINDS:
                if (value := getattr(self, f"{kind}_sensitivity")) is not None:
                    setattr(post_processor, f"{kind}_sensitivity", value)

    def put_in(self, state: Mapping[str, torch.Tensor], calibrator: Calibrator | None = None) -> None:
        """Put thresholds into the state of a post-processor, in place, as far as it has the tensors."""
        found = calibrator.thresholds if calibrator else None
        known = {**(found._asdict() if found else {}), **self.fixed}
        fill_thresholds(state, {kind: value for kind, value in known.items() if f"_{kind}_threshold" in state})

    def beside(
        self, checkpoint: Mapping[str, Any], post_processor: object, calibrator: Calibrator | None
    ) -> "GivenThresholds":
        """Take over what a checkpoint says where nothing is given, and put all that is known in its place.

        Args:
            checkpoint: Checkpoint that is being loaded; the thresholds in it are changed in place.
            post_processor: Gets the sensitivities.
            calibrator: Knows the thresholds of normal images, if there are some.
        """
        saved = checkpoint["hyper_parameters"]
        known = GivenThresholds(*(saved.get(name) if own is None else own for name, own in vars(self).items()))
        prefix, state = "post_processor.", checkpoint["state_dict"]
        known.put_in({key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}, calibrator)
        known.apply(post_processor)
        return known
