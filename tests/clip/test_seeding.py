# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Random weights of a seed leave everybody else's random numbers alone, those of GPUs included."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from anomalib_adaptclip import AdaptCLIPTraining
from anomalib_adaptclip.clip import load_clip, seeded
from anomalib_adaptclip.prompts.coreset import coreset_indices

DEVICES = ("cuda", "mps", "xpu")


def states() -> tuple[Any, ...]:
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # type: ignore[index]


@pytest.fixture
def reseeded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the devices whose generators are seeded, as they come."""
    names: list[str] = []
    for device in DEVICES:
        module = getattr(torch, device)
        for name in ("manual_seed", "manual_seed_all"):
            monkeypatch.setattr(module, name, lambda *_, device=device: names.append(device), raising=False)
    return names


@pytest.mark.parametrize(
    "build",
    [
        pytest.param(lambda: load_clip("tiny"), id="tiny"),
        pytest.param(lambda: load_clip("tiny", "seed-0"), id="untrained"),
        pytest.param(lambda: AdaptCLIPTraining(backbone="tiny", image_size=56), id="training"),
        pytest.param(lambda: coreset_indices(torch.eye(8).repeat(1, 4, 1), 5), id="coreset"),
    ],
)
def test_no_generator_is_changed(build: Callable[[], object], reseeded: list[str]) -> None:
    before = states()
    build()
    assert states() == before
    assert reseeded == []


def test_the_numbers_are_those_of_the_seed() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    with seeded(7):
        torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_the_generator_is_put_back_after_an_error() -> None:
    before = states()
    with pytest.raises(OSError, match="broken"), seeded(7):
        raise OSError("broken")
    assert states() == before


def test_weights_are_drawn_on_the_cpu_whatever_the_default_device() -> None:
    with torch.device("meta"), seeded(7):
        assert torch.rand(1).device.type == "cpu"
