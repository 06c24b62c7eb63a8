# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Adapters and thresholds stay in float32, whatever precision a trainer works in."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

PRECISE_PREFIXES = ("model.adapters.", "post_processor.")


def precise_part(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors of a checkpoint that must keep their digits."""
    return {key: tensor for key, tensor in state.items() if key.startswith(PRECISE_PREFIXES)}


def keep_float32(model: Any, precise: Mapping[str, torch.Tensor]) -> None:  # noqa: ANN401  # AdaptCLIP, which imports this
    """Bring adapters and thresholds back where a trainer put all in 16 bits: small as they are, digits matter.

    Args:
        model: An AdaptCLIP, changed in place.
        precise: Tensors of the checkpoint that it was loaded from, before they were rounded.
    """
    parts: list[nn.Module] = [model.model.adapters]
    if isinstance(model.post_processor, nn.Module):
        parts.append(model.post_processor)
    if any(tensor.dtype != torch.float32 for part in parts for tensor in part.state_dict().values()):
        for part in parts:
            part.float()
        model.load_state_dict(precise, strict=False)
