# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Locks of files, so that two processes do not write the same one."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from writing a file. The lock ends with its process, however that ends.

    The lock is a hidden file beside the other. It is removed in the end, except where others may be waiting for it.

    Args:
        path: File to write, which need not exist. Its folder is made if need be.
        wait: Wait until no other process has the lock, rather than refuse at once.

    Raises:
        ValueError: If another process has the lock, and this one does not wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        msg = (
            f"Another run is writing {path}. Wait until it is through, or name another file or folder for the output. "
            "If it was killed, its workers hold the file for some seconds more."
        )
        raise ValueError(msg) from error
    try:
        yield
    finally:
        if not wait:
            with suppress(OSError):  # Windows removes no open files
                Path(lock.lock_file).unlink()
        lock.release()
