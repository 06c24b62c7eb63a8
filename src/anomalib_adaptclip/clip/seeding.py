# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Random weights of a seed, without a trace in the generators that the user's own code draws from."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

CPU = torch.device("cpu")


@contextmanager
def seeded(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Draw as after ``torch.manual_seed(seed)``, and put the generators back.

    The generators of other devices are not touched, as ``torch.manual_seed`` would. New tensors are on the CPU unless
    they say otherwise, whatever torch's default device, so that a seed gives the same weights everywhere.

    Args:
        seed: Seed to draw with.
        device: The CPU, or a GPU of CUDA to draw on too.
    """
    generators = _generators(device)
    states = [generator.get_state() for generator in generators]
    try:
        for generator in generators:
            generator.manual_seed(seed)
        with CPU:
            yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def _generators(device: torch.device) -> list[torch.Generator]:
    return [torch.default_generator, *([torch.cuda.default_generators[device.index]] if device.type == "cuda" else [])]
