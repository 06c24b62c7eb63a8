# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads and writes files of weights, without running any code that they may contain."""

import hashlib
import io
import pickle
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from operator import methodcaller
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .atomic import write_atomically

State = dict[str, torch.Tensor]
_SHOWN = 5  # names in a message


def read_safetensors(path: Path) -> tuple[State, dict[str, str]]:
    """Read the tensors and the header of a safetensors file.

    Args:
        path: File to read.

    Returns:
        Tensors by name, and the header.

    Raises:
        ValueError: If the file is damaged, or a tensor is not finite.
    """
    with _opened(path) as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata: dict[str, str] = file.metadata() or {}
    require_finite(path, state)
    return state, metadata


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
    except Exception as error:  # for types of numbers that torch lacks, safetensors raises other errors than its own
        msg = f"{path} is damaged or not a safetensors file: {error}. Get it again."
        raise ValueError(msg) from error


def read_torch_file(path: Path, *, mmap: bool = False) -> Any:  # noqa: ANN401
    """Read a file that ``torch.save`` wrote, if it contains only tensors and plain containers.

    Args:
        path: File to read.
        mmap: Map the file into memory and leave the numbers in it, where its format allows. Not for files that are
            written in place while the tensors live.

    Returns:
        Content of the file.

    Raises:
        ValueError: If the file is damaged, or contains pickled code.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap and zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        msg = f"{path} was refused: it holds pickled code, or is damaged. Get it from its source again."
        raise ValueError(msg) from error
    except Exception as error:  # the unpickler raises any exception on damaged files
        msg = f"{path} is damaged, perhaps truncated, or not a PyTorch file: {error!r}. Get it again."
        raise ValueError(msg) from error


def require_state(path: Path | str, content: object, *, are_finite: bool = True) -> State:
    """Check that the content of a file is a state dict of dense, finite tensors.

    Args:
        path: File, for the message.
        content: What was read.
        are_finite: Whether all numbers must be finite.

    Returns:
        The content.

    Raises:
        ValueError: If it is something else.
    """
    problem = ""
    if not isinstance(content, dict):
        problem = f"a {type(content).__name__}"
    elif not content:
        problem = "nothing"
    elif wrong := [key for key, value in content.items() if not (isinstance(key, str) and is_dense(value))]:
        problem = f"something else at {_listed(map(repr, wrong))}, such as a {type(content[wrong[0]]).__name__}"
    if problem:
        msg = f"{path} should hold a state dict, tensors by name, and holds {problem}. Give another file."
        raise ValueError(msg)
    state: State = content  # type: ignore[assignment]
    if are_finite:
        require_finite(path, state)
    return state


def is_dense(value: object) -> bool:
    """Whether a value is a tensor with numbers in it: not sparse, not quantized, not a mere shape."""
    return (
        isinstance(value, torch.Tensor)
        and value.layout is torch.strided
        and not (value.is_meta or value.is_quantized or value.is_nested)
    )


def require_finite(source: Path | str, state: Mapping[str, torch.Tensor]) -> None:
    """Check that tensors hold numbers alone, no NaN and no infinity.

    Args:
        source: Where they come from, for the message.
        state: Tensors by name.

    Raises:
        ValueError: If one of them is not finite; the names are told.
    """
    if names := [name for name, tensor in state.items() if not is_finite(tensor)]:
        msg = f"{source} holds NaN or infinite numbers in {_listed(names)}. Get it again, or make it anew."
        raise ValueError(msg)


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether all numbers of a tensor are finite. Its bounds tell, in a twentieth of the time and without a copy."""
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    numbers = tensor if tensor.element_size() > 1 else tensor.float()  # torch cannot tell for types of eight bits
    return all(bool(bound.isfinite()) for bound in numbers.aminmax())  # both are NaN if any number is


def differences(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> list[str]:
    """List what keeps a state from being loaded in place of another: names, shapes, and kinds of numbers.

    Args:
        expected: State of the model.
        found: State of the file.
    """
    problems = [f"missing: {key} {tuple(expected[key].shape)}" for key in expected if key not in found]
    problems += [f"unexpected: {key}" for key in found if key not in expected]
    for key in expected:
        if key in found and expected[key].shape != found[key].shape:
            problems.append(f"shape: {key} is {tuple(found[key].shape)}, expected {tuple(expected[key].shape)}")
        elif key in found and _kind(expected[key]) != _kind(found[key]):
            problems.append(f"type: {key} is {found[key].dtype}, expected {expected[key].dtype}")
    return problems


def _kind(tensor: torch.Tensor) -> tuple[bool, bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex(), tensor.dtype == torch.bool


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def write_safetensors(path: Path, state: State, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        path: File to make or replace.
        state: Contiguous tensors on the CPU, by name.
        metadata: Header of the file.

    Raises:
        OSError: If it cannot be written.
    """

    def write(draft: Path) -> None:
        """Write the draft."""
        try:
            save_file(state, draft, dict(metadata))
        except SafetensorError as error:  # on a full disk
            raise OSError(str(error)) from error

    write_atomically(path, write)


def write_torch_file(path: Path, content: object) -> None:
    """Write what :func:`read_torch_file` reads, whole or not at all.

    Args:
        path: File to make or replace.
        content: Tensors in plain containers.

    Raises:
        OSError: If it cannot be written.
    """
    buffer = io.BytesIO()  # torch's own writer raises no OSError on a full disk
    torch.save(content, buffer)
    write_atomically(path, methodcaller("write_bytes", buffer.getvalue()))


def digest_of(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256, in hexadecimal, over names, types, shapes and numbers of tensors."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 digest of a file, in hexadecimal."""
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
