# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a checkpoint of AdaptCLIP keeps besides what all models around a frozen CLIP do."""

from typing import TYPE_CHECKING, Any

import torch

from anomalib_adaptclip.adapters.adapter_choice import AUTO, NONE
from anomalib_adaptclip.adapters.adapter_slot import AdapterSlot
from anomalib_adaptclip.clip import Backbone
from anomalib_adaptclip.prompts.bank import PromptBank
from anomalib_adaptclip.prompts.selection import Shots

from .calibration import Calibrator
from .checkpoint_record import CHECKPOINT_KEY, CheckpointRecord
from .clip_mixin import build_model
from .given_thresholds import GivenThresholds
from .precision import precise_part
from .torch_model import AdaptCLIPModel

if TYPE_CHECKING:
    from .clip_mixin import FrozenClipMixin as _Host
else:
    _Host = object


class CheckpointMixin(_Host):
    """Saves and loads adapters, prompts, texts and thresholds; to stand before :class:`FrozenClipMixin`."""

    model: AdaptCLIPModel
    backbone: Backbone
    adapter_slot: AdapterSlot
    shots: Shots
    prompt_bank: PromptBank | None
    calibrator: Calibrator | None
    given_thresholds: GivenThresholds
    _precise_state: dict[str, torch.Tensor]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save adapters, prompts, texts and thresholds, and where they came from. CLIP stays out."""
        super().on_save_checkpoint(checkpoint)
        self.leave_clip_out(checkpoint)
        arguments = checkpoint["hyper_parameters"]
        # What the first three brought is in the checkpoint: it must load where their files are missing.
        arguments |= {"few_shot_source": None, "adapters": AUTO, "roi": None, "results": None, "save": ()}
        if bank := arguments.get("prompt_bank"):
            arguments["prompt_bank"] = str(bank)  # a file of its own, and no path object
        checkpoint[CHECKPOINT_KEY] = self.new_record(
            self.adapter_slot.origin,
            prompt_files=tuple(self.shots.files),
            prompt_preprocessing=self.shots.preprocessing,
            calibration=self.calibrator.record if self.calibrator else None,  # labels may have set others
            prompt_bank=str(bank or ""),
        ).to_dict(checkpoint["state_dict"])

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take over what :meth:`on_save_checkpoint` saved.

        Raises:
            ValueError: As of :meth:`FrozenClipMixin.on_load_checkpoint`.
        """
        record = CheckpointRecord.from_checkpoint(checkpoint)
        super().on_load_checkpoint(checkpoint)  # which puts given components in
        if record.options != self.model.options:
            memory = self.model.prompt_memory
            self.model = build_model(self.model.clip, self.backbone, record.options, memory.precision, memory.budget)
            if self.prompt_bank:
                self.prompt_bank.model = self.model
        if self.calibrator is None:
            record.warn_of_other_prompts(self.prompt_bank is not None, self.shots.k_shot > 0)
        self.model.awaits_adapters = record.origin.source == NONE and len(self.model.adapters) > 0
        self.adapter_slot.restore(record.origin, is_automatic=self.model.awaits_adapters)
        self.shots.restore(record.prompt_files, record.prompt_preprocessing)
        if self.calibrator:
            self.calibrator.restore(record.calibration, checkpoint["hyper_parameters"])
        self.given_thresholds = self.given_thresholds.beside(checkpoint, self.post_processor, self.calibrator)
        self._precise_state = precise_part(checkpoint["state_dict"])
        self.put_clip_in(checkpoint)
