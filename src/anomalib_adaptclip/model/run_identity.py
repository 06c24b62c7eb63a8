# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tells by content what the scores of a model depend on, so that a run can be resumed with the same model only."""

import hashlib
import json
from dataclasses import fields
from pathlib import Path

from torch import nn

from anomalib_adaptclip.files.tensors import digest_of, sha256_of
from anomalib_adaptclip.prompts.bank_file import read_bank
from anomalib_adaptclip.version import __version__

from .lightning_model import AdaptCLIP


def run_identity(model: AdaptCLIP) -> dict[str, str]:
    """Describe what the scores of a prepared model depend on.

    What this machine computed from files, such as tokens of prompt images, is described by the files: the last digits
    depend on the device. What was read from a checkpoint is described by its numbers.

    Args:
        model: Model with its adapters, prompts and thresholds.

    Returns:
        Values by names for messages. Hashes stand for weights and files.
    """
    inner = model.model
    return {
        "version": __version__,
        "backbone": model.backbone.name,
        "CLIP's weights": digest_of(inner.clip.state_dict()),
        "precision": str(inner.clip.visual.proj.dtype),
        "adapters' weights": digest_of(inner.adapters.state_dict()),
        **{field.name: str(getattr(inner.options, field.name)) for field in fields(inner.options)},
        "layers": str(inner.layers),
        "pre-processing": model.image_input.description,
        "post-processing": _describe_post_processor(model),
        "given thresholds": str(model.given_thresholds.fixed or "none"),
        "prompts": _describe_prompts(model),
        "prompt_precision": inner.prompt_memory.precision,
        "prompt_budget": str(inner.prompt_memory.budget),
        "prompt bank": _describe_bank(model),
    }


def _describe_prompts(model: AdaptCLIP) -> str:
    tokens = model.model.prompt_memory.tokens
    if model.shots.restored:
        return f"{tokens.shape[1]} of a checkpoint, {digest_of({'tokens': tokens})}"
    return ", ".join(f"{Path(file).name} {sha256_of(Path(file))}" for file in model.prompt_files) or "none"


def _describe_bank(model: AdaptCLIP) -> str:
    if model.prompt_bank is None:
        return "none"
    sets, header = read_bank(Path(str(model.hparams["prompt_bank"])))
    scores = f", scores {hashlib.sha256(json.dumps(header.scores).encode()).hexdigest()}" if model.calibrator else ""
    regions = "".join(f", {name} of {roi}" for name, roi in header.regions.items())
    return f"{digest_of(sets)}, {model.prompt_bank.unknown_category} for unknown categories{scores}{regions}"


def _describe_post_processor(model: AdaptCLIP) -> str:
    if not isinstance(model.post_processor, nn.Module):
        return "none"
    settings = {name: value for name, value in vars(model.post_processor).items() if type(value) in {bool, float}}
    if model.calibrator and not model.shots.restored:
        return f"{settings}, thresholds of the prompts for {model.calibrator.rate}"
    values = {name: tensor.tolist() for name, tensor in model.post_processor.state_dict().items()}
    return f"{settings | values}"
