# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How much is taken from those who send images, and what the service is told by its starter."""

from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
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
