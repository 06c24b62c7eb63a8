# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Serves the page to this machine alone, and removes all that was sent when it ends.

Gradio is imported here alone, after it was told to keep quiet about its users and where to put their files.
"""

import importlib.util
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .sessions import Beginning, Sessions

HOST = "127.0.0.1"
PORTS = range(7860, 7960)
NAMES = [HOST, "localhost"]
QUIET = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_SHARE": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
MISSING = "The page needs Gradio: pip install 'anomalib-adaptclip[app]'."


def require_gradio() -> None:
    """Check that Gradio is installed, before any work is done.

    Raises:
        ValueError: If it is not.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ValueError(MISSING)


def free_port(port: int | None) -> int:
    """Check that a port is free, or find one.

    Args:
        port: The port; None for the first free one of ``PORTS``.

    Raises:
        ValueError: If it is no port, or not free.
    """
    if port is not None and not 1 <= port <= 65535:
        msg = f"port must be from 1 to 65535; got {port}."
        raise ValueError(msg)
    for one in PORTS if port is None else (port,):
        if _is_free(one):
            return one
    msg = f"Port {port or f'{PORTS[0]} to {PORTS[-1]}'} is in use on this machine. Name another one by --port."
    raise ValueError(msg)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _direct() -> dict[str, str]:
    """Let no proxy stand between Gradio and its own page, which it looks at when it begins."""
    names = ("no_proxy", "NO_PROXY")
    known = next((value for name in names if (value := os.environ.get(name))), "")
    return dict.fromkeys(names, ",".join(filter(None, (known, *NAMES))))


@contextmanager
def served(beginning: Beginning, port: int) -> Iterator[str]:
    """Serve the page for the while.

    Args:
        beginning: What every session begins with.
        port: Port of the loopback interface.

    Yields:
        The page's address.
    """
    require_gradio()
    with tempfile.TemporaryDirectory(prefix="anomalib-adaptclip-", ignore_cleanup_errors=True) as folder:
        os.environ.update({**QUIET, **_direct(), "GRADIO_TEMP_DIR": folder})  # before Gradio is imported
        from .page import Page  # noqa: PLC0415

        page = Page(Sessions(Path(folder), beginning))
        try:
            yield page.launch(HOST, port, NAMES)
        finally:
            page.blocks.close(verbose=False)
            del os.environ["GRADIO_TEMP_DIR"]
