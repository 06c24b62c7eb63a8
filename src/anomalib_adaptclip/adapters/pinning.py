# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Adapters that are pinned to a file's content: ``mvtec@sha256:<64 hexadecimal digits>``."""

import re
from pathlib import Path

from anomalib_adaptclip.files.tensors import sha256_of

MARK = "@sha256:"


def split_pin(source: str) -> tuple[str, str]:
    """Take name and pin of adapters apart.

    Args:
        source: What the user gave: a name or path, with or without a pin.

    Returns:
        The name or path, and the hash in lower case; empty without a pin.

    Raises:
        ValueError: If the hash is none, or belongs to nothing that has one file.
    """
    name, mark, pin = source.rpartition(MARK)
    if not mark:
        return source, ""
    if name in {"", "auto", "none"}:
        msg = f"adapters={source!r} pins no file. Write mvtec{MARK}HASH, visa{MARK}HASH or PATH{MARK}HASH."
        raise ValueError(msg)
    if not re.fullmatch(r"[0-9a-fA-F]{64}", pin):
        msg = f"A SHA-256 has 64 hexadecimal digits; got {pin!r} in adapters={source!r}. `sha256sum FILE` prints it."
        raise ValueError(msg)
    return name, pin.lower()


def require_sha256(path: Path, pin: str) -> None:
    """Check a file against its pin, before it is read.

    Raises:
        ValueError: If its content is another.
    """
    found = sha256_of(path)
    if found != pin:
        msg = (
            f"{path} has the SHA-256 {found}, and the adapters are pinned to {pin}. The file is damaged or another "
            "revision: remove it and load it again, name the revision that was pinned, or correct the pin."
        )
        raise ValueError(msg)
