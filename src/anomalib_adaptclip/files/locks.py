# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Locks files, so that two processes do not write the same file."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from .atomic import cannot_write, require_file


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes from writing a file until the context ends. The lock also ends when its process is killed.

    The lock is a hidden file beside the other one. It is removed at the end, unless other processes may wait for it.

    Args:
        path: File to write, which need not exist. Its folder is created if necessary. Links to a file share its lock.
        wait: Whether to wait until no other process has the lock, instead of raising an error.

    Raises:
        ValueError: If another process has the lock and ``wait`` is false, or there is something else than a file.
        OSError: If the folder cannot be written to.
    """
    target = require_file(path)
    lock = FileLock(target.with_name(f".{target.name}.lock"))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        msg = (
            f"Another run is writing {path}. Wait until it has finished, or name another file or folder for the "
            "output. If it was killed, its workers hold the file for a few more seconds."
        )
        raise ValueError(msg) from error
    except OSError as error:
        raise cannot_write(path, error) from error
    try:
        yield
    finally:
        if not wait:
            with suppress(OSError):  # Windows does not remove open files
                Path(lock.lock_file).unlink()
        lock.release()
