# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Names of Lightning's accelerators and precisions, checked before the first run: else each would fail by itself."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import AcceleratorRegistry


def require_precision(precision: Any) -> None:  # noqa: ANN401  # a name, or Lightning's numbers
    """Check a precision of Lightning's trainer, before the first run needs it.

    Raises:
        ValueError: If Lightning knows none of that name; the known ones are listed.
    """
    try:
        Trainer(accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False)
    except ValueError as error:
        msg = f"precision must be one of Lightning's: {error}"
        raise ValueError(msg) from error


def require_accelerator(name: str) -> None:
    """Check the name of an accelerator.

    Raises:
        ValueError: If Lightning knows none of that name.
    """
    known = ["auto", "gpu", *AcceleratorRegistry.available_accelerators()]
    if name not in known:
        msg = f"accelerator must be one of {known}; got {name!r}."
        raise ValueError(msg)
