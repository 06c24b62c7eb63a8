# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Writes files atomically: a file is either written completely or not changed at all."""

import stat
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that readers always find either the old or the new content, never a part of it.

    Args:
        path: File to create or replace. Its folder is created if necessary.
        write: Function that writes the content to the path that it receives.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{uuid4().hex}")
    draft.touch(exist_ok=False)
    try:
        # The permissions of new files: reading the umask instead would change it for a moment in all threads.
        permissions = stat.S_IMODE(draft.stat().st_mode)
        write(draft)
        draft.chmod(permissions)  # because safetensors makes files private
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
