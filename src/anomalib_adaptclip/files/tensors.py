# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Files of weights, read without running anything that they may hold."""

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
    """Tensors and header of a safetensors file.

    Raises:
        ValueError: If the file is damaged.
    """
    with _opened(path) as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118


def read_safetensors_header(path: Path) -> dict[str, str]:
    """Header alone of a safetensors file.

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
        msg = f"{path} is damaged or no safetensors file: {error}. Get it again."
        raise ValueError(msg) from error


def read_torch_file(path: Path) -> Any:  # noqa: ANN401
    """Content of a file of ``torch.save``, tensors and plain containers only.

    Raises:
        ValueError: If the file is damaged, or holds pickled code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = f"{path} was refused: it holds pickled code besides tensors, or is damaged. Get it from its source again."
        raise ValueError(msg) from error
    except Exception as error:  # what the unpickler makes of arbitrary bytes
        msg = f"{path} is damaged, truncated perhaps, or no PyTorch file: {error!r}. Get it again."
        raise ValueError(msg) from error


def sha256_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
