# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Adapters that training goes on from: whether they fit, and what they were trained on."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from anomalib_adaptclip.adapters.adapter_choice import AUTO, NONE, require_adapters
from anomalib_adaptclip.adapters.adapter_file import AdapterFile
from anomalib_adaptclip.adapters.adapter_slot import AdapterOrigin
from anomalib_adaptclip.clip import Backbone
from anomalib_adaptclip.data.data_source import DataSource
from anomalib_adaptclip.model.model_options import ModelOptions

logger = logging.getLogger(__name__)

_ARGUMENTS = {"adapters": "adapter_names"}  # arguments of the model whose options have another name


def require_start(source: str, backbone: Backbone) -> None:
    """Check that training can go on from adapters, before CLIP is built.

    Args:
        source: Adapters that were asked for.
        backbone: Backbone in use.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If they are not named, or belong to another backbone.
    """
    if source == AUTO:
        msg = (
            "adapters='auto' follows the data under test, and training needs to know what it goes on from. Name them, "
            "mvtec, visa or a file, or take 'none' for random ones."
        )
        raise ValueError(msg)
    require_adapters(source, backbone)


def starting_options(file: AdapterFile, options: ModelOptions, given: Mapping[str, Any]) -> ModelOptions:
    """Options of a model that goes on from adapters: those that the adapters were trained with.

    Args:
        file: The adapters.
        options: Options of the model as its arguments say.
        given: Arguments of the model that are not the default.

    Raises:
        ValueError: If an argument says otherwise, or the file has none of the adapters.
    """
    found = file.applied_to(options)
    before, after = asdict(options), asdict(found)
    changed = [name for name in after if before[name] != after[name]]
    differing = [f"{_ARGUMENTS.get(name, name)} is {_shown(after[name])}" for name in changed if _is_given(name, given)]
    if differing:
        msg = (
            f"The adapters in {file.path} cannot go on with other options than their own: {'; '.join(differing)}. "
            "Leave these out, or give other adapters."
        )
        raise ValueError(msg)
    if changed:
        shown = ", ".join(f"{_ARGUMENTS.get(name, name)} {_shown(after[name])}" for name in changed)
        logger.info("Options of the adapters that training goes on from: %s.", shown)
    return found


def describe_start(origin: AdapterOrigin) -> str:
    """Say in a line what training starts from."""
    if origin.source == NONE:
        return "adapters: random"
    bases = [f"{base.name} ({', '.join(base.categories)})" if base.categories else base.name for base in origin.bases]
    trained = f"trained on {' and '.join(bases)}" if bases else "which do not say what they were trained on"
    return f"adapters: those of {origin.source}, {trained}, SHA-256 {origin.sha256}"


def warn_of_seen_target(origin: AdapterOrigin, target: DataSource | None) -> None:
    """Log loudly if the adapters that training goes on from have seen the target, or might have.

    Args:
        origin: Where they came from.
        target: Data set to validate and test on, if there is one.
    """
    if target is None or origin.source == NONE:
        return
    if not origin.bases:
        logger.warning(
            "The adapters %r do not say what they were trained on. If that was %s, the figures on it will be too good.",
            *(origin.source, target.label),
        )
    for base in origin.bases:
        if base.is_in(target.module_class, target.categories):
            logger.warning(
                "LEAKAGE: training goes on from the adapters %r, which were trained on the test images of %s, and the "
                "target %s shows them too. The figures will be too good and say nothing about new data. Take another "
                "target, or other adapters.",
                *(origin.source, base.name, target.label),
            )


def _is_given(option: str, given: Mapping[str, Any]) -> bool:
    return _ARGUMENTS.get(option, option) in given


def _shown(value: object) -> str:
    return repr([*value] if isinstance(value, tuple) else value)
