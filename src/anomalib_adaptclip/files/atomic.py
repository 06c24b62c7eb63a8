# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Writes files atomically: a file is either written completely or not changed at all."""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that readers always find either the old or the new content, never a part of it.

    Args:
        path: File to create or replace. Its folder is created if necessary. A link stays, and its target is written.
        write: Function that writes the content to the path that it receives.

    Raises:
        ValueError: If there is something else than a file at the path.
        OSError: If the file cannot be written: the disk is full, or the folder is read-only.
    """
    target = require_file(path)
    draft = target.with_name(f".{target.name}-{uuid4().hex}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.touch(exist_ok=False)
        # The permissions of new files: reading the umask instead would change it for a moment in all threads.
        permissions = stat.S_IMODE(draft.stat().st_mode)
        write(draft)
        draft.chmod(permissions)  # because safetensors makes files private
        draft.replace(target)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def followed(path: Path) -> Path:
    """Return the file that a link points to, which need not exist, or the path itself if it is no link."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def require_file(path: Path) -> Path:
    """Check that a path can be that of a file to write.

    Args:
        path: File to create or replace, or a link to one.

    Returns:
        The file, with links followed.

    Raises:
        ValueError: If it is a folder, a device, a pipe, a link to itself, or below a file.
    """
    target = followed(path)
    if (target.exists() and not target.is_file()) or target.is_symlink():
        msg = f"{path} should be a file to write, but there is a folder, a device or a broken link. Name another file."
        raise ValueError(msg)
    if taken := next((folder for folder in target.parents if folder.exists() and not folder.is_dir()), None):
        msg = f"{path} cannot be written, for {taken} is a file and no folder. Name another file."
        raise ValueError(msg)
    return target


def cannot_write(path: Path, error: OSError) -> OSError:
    """Build the error for a file that cannot be written, of the same class: the file, the reason, and what to do.

    Args:
        path: File to write.
        error: What the system says.
    """
    msg = f"Cannot write {path}: {error.strerror or error}. Free space, or name a folder that can be written to."
    return type(error)(msg)
