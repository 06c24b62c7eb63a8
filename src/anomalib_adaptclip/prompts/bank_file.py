# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The file of a prompt bank: one safetensors file, a tensor for each category.

Letters: K normal prompt images (shots), S layers, L patches, D joint embedding width.
"""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file

from anomalib_adaptclip.files.atomic import write_atomically
from anomalib_adaptclip.files.tensors import State, read_safetensors, read_safetensors_header

FORMAT = "adaptclip-prompt-bank-1"
_PREFIX = "prompts."  # of the tensors' names, so that a category may have any name


def write_bank(path: Path, sets: Mapping[str, torch.Tensor], header: dict[str, str]) -> None:
    """Write packed prompts ``(S, K, L, D)`` by category, and a header, whole or not at all."""
    state = {_PREFIX + name: tokens.contiguous().cpu() for name, tokens in sets.items()}
    write_atomically(path, lambda draft: save_file(state, draft, metadata=header))


def read_bank(path: Path) -> tuple[State, dict[str, str]]:
    """Packed prompts ``(S, K, L, D)`` by category, and the header of a bank's file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or no prompt bank.
    """
    read_header(path)
    state, header = read_safetensors(path)
    return {name.removeprefix(_PREFIX): tokens for name, tokens in state.items()}, header


def read_header(path: Path) -> dict[str, str]:
    """Header of a bank's file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or no prompt bank.
    """
    if not path.is_file():
        msg = f"There is no prompt bank {path}. Make one with `anomalib-adaptclip bank-add`, or PromptBank.save."
        raise FileNotFoundError(msg)
    header = read_safetensors_header(path)
    if header.get("format") != FORMAT:
        msg = f"{path} is no prompt bank: its header says {header.get('format')!r}, not {FORMAT!r}."
        raise ValueError(msg)
    return header


def require_same_header(path: Path, found: dict[str, str], expected: dict[str, str]) -> None:
    """Check that a bank belongs to a model: its prompts live in the embedding space of one CLIP.

    Args:
        path: The bank's file, for the message.
        found: Its header.
        expected: Header that a bank of the model has; an image size of ``null`` fits any.

    Raises:
        ValueError: If they differ; all that differs is listed.
    """
    names = ["fingerprint", "layers", "first_vv_block"]
    if "null" not in {found["image_size"], expected["image_size"]}:
        names.append("image_size")
    differing = [f"{name} {found[name]}, not {expected[name]}" for name in names if found[name] != expected[name]]
    if differing:
        msg = (
            f"The prompt bank {path} was made with another model: backbone {found['backbone'] or 'unknown'}, here "
            f"{expected['backbone'] or 'unknown'}; {'; '.join(differing)}. Build the model like that, or the bank anew."
        )
        raise ValueError(msg)
