# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Files that are written whole or not at all."""

import stat
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that whoever reads it finds the old or the new content, never half of it.

    Args:
        path: File to make or replace. Its folder is made if need be.
        write: Writes the content to the path that it is given.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{uuid4().hex}")
    draft.touch(exist_ok=False)
    try:
        permissions = stat.S_IMODE(draft.stat().st_mode)  # of new files; reading the umask would set it for all threads
        write(draft)
        draft.chmod(permissions)  # safetensors makes files private
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
