# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Devices, their precision, and where results go."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch

from .finding import Finding

_LEAST_FREE = 2e9  # bytes: CLIP's weights are downloaded to about as much


def examine_devices() -> Iterator[Finding]:
    """Tell the devices that torch can use."""
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(number)
            precision = "bfloat16 and float16" if torch.cuda.is_bf16_supported() else "float16"
            yield Finding(
                "ok", f"cuda:{number}: {properties.name}, {properties.total_memory / 1e9:.0f} GB, {precision}"
            )
    elif torch.backends.mps.is_available():
        yield Finding("ok", "mps: Apple's GPU")
    else:
        yield Finding("note", f"No GPU: all runs on the processor, {torch.get_num_threads()} threads")


def examine_results(folder: Path) -> Iterator[Finding]:
    """Tell where anomalib's Engine writes by default, whether it can, and the room there.

    Args:
        folder: Folder of the results. It need not exist.
    """
    place = folder.absolute()
    parent = next(path for path in (place, *place.parents) if path.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        yield Finding(
            "fault", f"Results cannot be written to {place}. Work in another folder, or give default_root_dir."
        )
        return
    free = shutil.disk_usage(parent).free
    text = f"Results go to {place}, {free / 1e9:.1f} GB free"
    if free > _LEAST_FREE:
        yield Finding("ok", text)
    else:
        yield Finding("fault", f"{text}. Make room, or give another default_root_dir.")
