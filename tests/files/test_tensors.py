# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Files of tensors: what is not finite or no tensor is refused by name."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from anomalib_adaptclip.files.tensors import (
    differences,
    digest_of,
    is_finite,
    read_safetensors,
    require_state,
    write_safetensors,
    write_torch_file,
)


@contextmanager
def full_disk(size: int = 1000) -> Iterator[None]:
    """Files may have a thousand bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_a_number_that_is_not_finite_is_refused_by_name(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    state = {"good": torch.zeros(3), "bad": torch.tensor([0, value], dtype=dtype)}
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=r"a\.safetensors holds NaN or infinite numbers in bad\. Get it again"):
        read_safetensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (torch.tensor([1.0, torch.nan, 2.0]), False),
        (torch.tensor([1.0, torch.inf]).to(torch.float8_e5m2), False),
        (torch.tensor([1.0, complex(0.0, torch.nan)]), False),
        (torch.tensor([1.0, 2.0j]).conj(), True),
        (torch.tensor([1.0, -3e38]), True),
        (torch.tensor([2**63 - 1]), True),
        (torch.tensor([3], dtype=torch.uint16), True),
        (torch.tensor([True]), True),
        (torch.zeros(0), True),
        (torch.tensor(torch.nan), False),
    ],
)
def test_finite_numbers_of_all_types(tensor: torch.Tensor, expected: bool) -> None:
    assert is_finite(tensor) is expected


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.zeros(1)], "a list"),
        (None, "a NoneType"),
        ({}, "nothing"),
        ({"a": {"b": torch.zeros(1)}}, "something else at 'a', such as a dict"),
        ({1: torch.zeros(1)}, "something else at 1, such as a Tensor"),
        ({"a": torch.zeros(1).to_sparse()}, "something else at 'a', such as a Tensor"),
        ({"a": torch.zeros(1, device="meta")}, "something else at 'a', such as a Tensor"),
    ],
)
def test_what_is_no_state_is_refused(content: Any, found: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.pt should hold a state dict, tensors by name, and holds {found}\. Give"):
        require_state("a.pt", content)


def test_differences_are_names_shapes_and_kinds() -> None:
    expected = {"a": torch.zeros(1), "b": torch.zeros(2), "c": torch.zeros(1), "d": torch.tensor(1)}
    found = {"b": torch.zeros(3), "c": torch.zeros(1, dtype=torch.bool), "d": torch.tensor(1), "e": torch.zeros(1)}
    assert differences(expected, found) == [
        "missing: a (1,)",
        "unexpected: e",
        "shape: b is (3,), expected (2,)",
        "type: c is torch.bool, expected torch.float32",
    ]
    assert (
        differences(expected, {key: tensor.double() if key != "d" else tensor for key, tensor in expected.items()})
        == []
    )


@pytest.mark.parametrize("write", [write_torch_file, partial(write_safetensors, metadata={})])
def test_a_full_disk_is_told_and_nothing_is_left(tmp_path: Path, write: Any) -> None:
    with full_disk(), pytest.raises(OSError, match=r"Cannot write .*a\.bin: .*\. Free space, or name a folder"):
        write(tmp_path / "a.bin", {"a": torch.zeros(10_000)})
    assert list(tmp_path.iterdir()) == []


def test_a_digest_is_of_names_types_shapes_and_numbers() -> None:
    states = [
        {"a": torch.zeros(2)},
        {"b": torch.zeros(2)},
        {"a": torch.zeros(2, dtype=torch.int32)},
        {"a": torch.zeros(1, 2)},
        {"a": torch.ones(2)},
        {"a": torch.tensor(0.0)},
    ]
    assert len({digest_of(state) for state in states}) == len(states)
    assert digest_of({"a": torch.zeros(1), "b": torch.ones(1)}) == digest_of({"b": torch.ones(1), "a": torch.zeros(1)})
