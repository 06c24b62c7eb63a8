# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Names of Lightning's accelerators, checked before the first run: otherwise each run would fail by itself."""

from lightning.pytorch.accelerators import AcceleratorRegistry


def require_accelerator(name: str) -> None:
    """Check the name of an accelerator.

    Raises:
        ValueError: If Lightning knows none of that name.
    """
    known = ["auto", "gpu", *AcceleratorRegistry.available_accelerators()]
    if name not in known:
        msg = f"accelerator must be one of {known}; got {name!r}."
        raise ValueError(msg)
