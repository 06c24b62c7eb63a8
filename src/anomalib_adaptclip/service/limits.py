# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How much is taken from those who send images, and what the service is told by its starter."""

import importlib.util
import os
import socket
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
HOSTS = (LOOPBACK, "0.0.0.0", "::")  # noqa: S104  # those that LitServe binds to
NAMES = [LOOPBACK, "localhost"]
TOKEN = "ANOMALIB_ADAPTCLIP_TOKEN"  # noqa: S105  # the name of a variable
ATTEMPTS = 2  # times that an image is judged again whose worker ended
MIB = 1024**2


@dataclass(frozen=True)
class Limits:
    """What the service takes.

    Attributes:
        images: Images of a request.
        request_bytes: Bytes of a request.
        waiting_images: Images of all requests that wait for an answer.
        waiting_bytes: Bytes of all requests that wait for an answer.
        seconds: Longest time that a request waits.
    """

    images: int = 64
    request_bytes: int = 64 * MIB
    waiting_images: int = 1024
    waiting_bytes: int = 512 * MIB
    seconds: float = 120.0


def require_serve() -> None:
    """Check that what the service is made with is installed.

    Raises:
        ValueError: If it is not.
    """
    if missing := [
        name for name in ("litserve", "prometheus_client", "watchdog") if not importlib.util.find_spec(name)
    ]:
        msg = f"The service needs {', '.join(missing)}: pip install 'anomalib-adaptclip[serve]'."
        raise ValueError(msg)


def token_of_environment() -> str:
    """The token that requests must hold; empty where none is set.

    Raises:
        ValueError: If it cannot stand in a header.
    """
    token = os.environ.get(TOKEN, "")
    if not (token.isascii() and all(sign.isprintable() and sign != " " for sign in token)):
        msg = f"{TOKEN} must be of ASCII letters, digits and signs without blanks; got others. Set another one."
        raise ValueError(msg)
    return token


def require_place(host: str, port: int, token: str) -> None:
    """Check an address, before any work is done.

    Args:
        host: Address to bind to.
        port: Its port.
        token: The token; empty for none.

    Raises:
        ValueError: If it cannot be bound to, or is open to other machines without a token.
    """
    if host not in HOSTS:
        msg = f"host must be one of {', '.join(HOSTS)}; got {host!r}. The first is reached by this machine alone."
        raise ValueError(msg)
    if not 1024 <= port <= 65535:
        msg = f"port must be from 1024 to 65535; got {port}."
        raise ValueError(msg)
    if host != LOOPBACK and not token:
        msg = (
            f"host={host} lets other machines in, and there is no token. Set the environment variable {TOKEN}, which "
            f"requests must hold then, or leave host out."
        )
        raise ValueError(msg)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            msg = f"Port {port} of {host} cannot be had on this machine: {error.strerror}. Name another one by --port."
            raise ValueError(msg) from error
