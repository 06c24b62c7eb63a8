# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Locks files, so that two processes do not write the same file."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from writing a file until the context ends. The lock also ends when its process is killed.

    The lock is a hidden file beside the other one. It is removed at the end, unless other processes may wait for it.

    Args:
        path: File to write, which need not exist. Its folder is created if necessary.
        wait: Whether to wait until no other process has the lock, instead of raising an error.

    Raises:
        ValueError: If another process has the lock and ``wait`` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        msg = (
            f"Another run is writing {path}. Wait until it has finished, or name another file or folder for the "
            "output. If it was killed, its workers hold the file for a few more seconds."
        )
        raise ValueError(msg) from error
    try:
        yield
    finally:
        if not wait:
            with suppress(OSError):  # Windows does not remove open files
                Path(lock.lock_file).unlink()
        lock.release()
