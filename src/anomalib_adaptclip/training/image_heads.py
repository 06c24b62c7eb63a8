# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Training without masks: of the adapters only that learns which no map depends on."""

from collections.abc import Iterator

from torch import nn

_IMAGE_HEADS = {"visual": "global_mlp", "prompt_query": "image_head"}  # the textual adapter's texts make its map too


def freeze_maps(adapters: nn.ModuleDict) -> None:
    """Freeze all that maps depend on.

    Args:
        adapters: ``AdaptCLIPModel.adapters``, changed in place.

    Raises:
        ValueError: If nothing is left to train.
    """
    for part in parts_of_maps(adapters):
        part.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in adapters.parameters()):
        msg = (
            "There is nothing to train: no abnormal image of the base has a mask, so the image heads alone learn, and "
            f"{[*adapters]} has none that its map does not depend on. Add masks, or the visual or prompt_query adapter."
        )
        raise ValueError(msg)


def parts_of_maps(adapters: nn.ModuleDict) -> Iterator[nn.Module]:
    """The parts of the adapters that maps depend on: their batch norms must not move either."""
    for name, adapter in adapters.items():
        if name not in _IMAGE_HEADS:
            yield adapter
            continue
        yield from (part for key, part in adapter.named_children() if key != _IMAGE_HEADS[name])


def unmasked_message(starts_at_random: bool) -> str:
    """Say what becomes of the maps.

    Args:
        starts_at_random: Whether training starts from random adapters.
    """
    maps = (
        "they are of random adapters and mean nothing. Go on from trained ones: --model.adapters"
        if starts_at_random
        else "those of the adapters that training goes on from"
    )
    known = "No abnormal image of the base has a mask, so the image heads alone are trained"
    return f"{known}. Maps stay as they were: {maps}."
