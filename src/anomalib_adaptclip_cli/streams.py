# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Standard output and error: what nobody reads, or cannot be written in their encoding, ends no command."""

import io
import os
import sys
from typing import Any


def guard_streams() -> None:
    """Let the work go on whose output is closed, or cut off by a reader such as ``head``.

    Characters that a stream cannot encode are replaced. Streams that something else has put in place are left alone.
    """
    for descriptor, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            _occupy(descriptor)
        elif stream is not getattr(sys, f"__{name}__"):
            continue
        setattr(sys, name, _guarded(stream, descriptor, name))


def _occupy(descriptor: int) -> None:
    """Open a closed descriptor: the next file to be opened would get it, and what others print with it."""
    try:
        os.fstat(descriptor)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != descriptor:
            os.dup2(null, descriptor)
            os.close(null)


def _guarded(stream: Any, descriptor: int, name: str) -> io.TextIOWrapper:  # noqa: ANN401
    encoding, is_terminal = (stream.encoding, stream.line_buffering) if stream else ("utf-8", False)
    output = io.BufferedWriter(_Output(descriptor, name))
    return io.TextIOWrapper(output, encoding, "replace", line_buffering=is_terminal)


class _Output(io.FileIO):
    """A standard stream whose reader may leave.

    Args:
        descriptor: File descriptor of the stream.
        name: What errors call it.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.label = name
        self.is_lost = False

    def write(self, data: Any, /) -> int | None:  # type: ignore[override]  # noqa: ANN401 - None: not now
        """Write, or pass over what no one reads any more.

        Raises:
            OSError: If the disk is full, for instance; once.
        """
        try:
            return len(data) if self.is_lost else super().write(data)
        except BrokenPipeError:
            self.is_lost = True
            return len(data)
        except OSError as error:
            self.is_lost = True
            raise OSError(error.errno, error.strerror, self.label) from error
