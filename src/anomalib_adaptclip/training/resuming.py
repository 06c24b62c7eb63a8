# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Going on with a run that was broken off."""

import json
from collections.abc import Mapping
from typing import Any

# A run may go on with another of these; backbone, weights and adapters are compared by their content.
_FREE = frozenset(
    {
        "adapters",
        "backbone",
        "pretrained",
        "epochs",
        "k_shot",
        "cache_dir",
        "pre_processor",
        "post_processor",
        "evaluator",
        "visualizer",
    }
)


def require_same_options(saved: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Check that a run goes on as it began.

    Args:
        saved: Arguments of the model in the checkpoint.
        own: Arguments of the model that is to go on.

    Raises:
        ValueError: If they differ where that would change what is trained; all differences are told.
    """
    differing = [
        f"{name} was {json.dumps(saved[name], default=str)} and is {json.dumps(own[name], default=str)}"
        for name in sorted({*saved} & {*own} - _FREE)
        if json.dumps(saved[name], default=str) != json.dumps(own[name], default=str)
    ]
    if differing:
        msg = (
            f"The checkpoint's run cannot go on with other options: {'; '.join(differing)}. Give the options it was "
            "started with, or start anew without ckpt_path."
        )
        raise ValueError(msg)
