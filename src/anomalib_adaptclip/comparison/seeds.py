# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A run seeds all generators, as models of any kind need it; the caller's are put back."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from lightning.pytorch.utilities.seed import isolate_rng

VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")  # that Lightning's seed_everything sets


@contextmanager
def keep_generators() -> Iterator[None]:
    """Put back, at the end, the generators of torch, GPUs, NumPy and Python, and what Lightning seeds workers by."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    with ExitStack() as stack:
        generators = isolate_rng()
        generators.__enter__()
        stack.callback(generators.__exit__, None, None, None)  # it would restore nothing if it saw an exception
        stack.callback(_restore, before)
        yield


def _restore(variables: dict[str, str | None]) -> None:
    for name, value in variables.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
