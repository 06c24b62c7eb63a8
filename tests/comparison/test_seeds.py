# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A run of a comparison leaves the generators of its process as they were."""

import os
import random
from typing import Any

import numpy as np
import pytest
import torch
from lightning import seed_everything

from anomalib_adaptclip.comparison import run as run_module
from anomalib_adaptclip.comparison.seeds import VARIABLES
from anomalib_adaptclip.comparison.sweep import Run


def state() -> tuple[Any, ...]:
    numbers = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]
    return (*numbers, *(os.environ.get(name) for name in VARIABLES))


@pytest.mark.parametrize("given", [None, "5"])
def test_generators_and_variables_are_put_back_though_the_run_fails(
    given: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    if given:
        monkeypatch.setenv(VARIABLES[0], given)

    def fail(run: Run) -> None:
        del run
        assert os.environ[VARIABLES[0]] == "3"
        msg = "no data"
        raise ValueError(msg)

    monkeypatch.setattr(run_module, "read_data", fail)
    monkeypatch.setattr(run_module, "seed_everything", lambda *_, **options: seed_everything(3, **options))
    before = state()
    with pytest.raises(ValueError, match="no data"):
        run_module.fit_and_test(AnyRun(), "cpu", 0)  # type: ignore[arg-type]
    assert state() == before


class AnyRun:
    seed = 3
