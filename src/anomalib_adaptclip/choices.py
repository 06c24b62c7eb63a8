# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Arguments that take one of a few names."""

from typing import Any, get_args


def require_choice(argument: str, value: str, choices: Any) -> None:  # noqa: ANN401  # types know no type of literals
    """Check an argument that takes one of a few names.

    Args:
        argument: Its name.
        value: What came.
        choices: ``Literal`` of what is possible.

    Raises:
        ValueError: If it is none of them.
    """
    if value not in get_args(choices):
        msg = f"{argument} must be one of {list(get_args(choices))}; got {value!r}."
        raise ValueError(msg)
