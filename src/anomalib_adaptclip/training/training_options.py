# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Numbers of a training that make sense."""

from anomalib_adaptclip.argument_types import require_at_least


def require_training(learning_rate: float, betas: tuple[float, float], epochs: int, k_shot: int) -> None:
    """Check the numbers that a training is run with.

    Args:
        learning_rate: Learning rate of Adam, above 0.
        betas: Coefficients of Adam's running averages, from 0 to less than 1.
        epochs: Epochs to train, at least 1.
        k_shot: Normal images for each category of the target, at least 1.

    Raises:
        ValueError: If one is out of range.
    """
    require_at_least(1, epochs=epochs, k_shot=k_shot)
    if learning_rate <= 0:
        msg = f"learning_rate must be more than 0, such as 0.001; got {learning_rate}."
        raise ValueError(msg)
    if not all(0 <= beta < 1 for beta in betas):
        msg = f"betas must be two numbers from 0 to less than 1, such as (0.5, 0.999); got {betas}."
        raise ValueError(msg)
