# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Text for messages."""

from collections.abc import Sequence


def abbreviate(items: Sequence[str], count: int = 5) -> str:
    """Join the first items of a list with semicolons; an ellipsis tells that there are more.

    Args:
        items: Texts.
        count: Number of items to show.
    """
    return "; ".join(items[:count]) + (" ..." if len(items) > count else "")
