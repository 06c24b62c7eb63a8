# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tells by content which files a model is made of: the metrics depend on what is in them, not on their names."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from anomalib_adaptclip.files.tensors import sha256_of


def hash_files(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Hash the files that arguments of a model name, such as adapters, and the folder of its normal images.

    Args:
        arguments: Arguments of the model.

    Returns:
        SHA-256 by the names of these arguments.
    """
    paths = {name: Path(value) for name, value in arguments.items() if isinstance(value, str | Path)}
    hashes = {name: _hash_file(path, path.stat().st_mtime_ns) for name, path in paths.items() if path.is_file()}
    folder = paths.get("few_shot_source")
    if folder and folder.is_dir():
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        parts = [_hash_file(file, file.stat().st_mtime_ns) for file in files]
        hashes["few_shot_source"] = hashlib.sha256("".join(parts).encode()).hexdigest()
    return hashes


@cache
def _hash_file(path: Path, modified: int) -> str:
    del modified  # a file that was changed is read again
    return sha256_of(path)
