# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads files of weights without running any code that they may contain."""

import hashlib
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

State = dict[str, torch.Tensor]


def read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    """Read the tensors and the header of a safetensors file.

    Args:
        path: File to read.

    Returns:
        Tensors by name, and the header.

    Raises:
        ValueError: If the file is damaged.
    """
    with _opened(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_safetensors_header(path: Path) -> dict[str, str]:
    """Read only the header of a safetensors file.

    Args:
        path: File to read.

    Raises:
        ValueError: If the file is damaged.
    """
    with _opened(path) as file:
        return file.metadata() or {}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as error:
        msg = f"{path} is damaged or not a safetensors file: {error}. Get it again."
        raise ValueError(msg) from error


def read_torch_file(path: Path) -> Any:  # noqa: ANN401
    """Read a file that ``torch.save`` wrote, if it contains only tensors and plain containers.

    Args:
        path: File to read.

    Returns:
        Content of the file.

    Raises:
        ValueError: If the file is damaged, or contains pickled code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = f"{path} was refused: it holds pickled code, or is damaged. Get it from its source again."
        raise ValueError(msg) from error
    except Exception as error:  # the unpickler raises any exception on damaged files
        msg = f"{path} is damaged, perhaps truncated, or not a PyTorch file: {error!r}. Get it again."
        raise ValueError(msg) from error


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
