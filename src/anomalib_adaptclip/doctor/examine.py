# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""All that is looked at, in order."""

from collections.abc import Iterator
from pathlib import Path

from .finding import Finding
from .installation import examine_packages, examine_registration
from .machine import examine_devices, examine_results
from .weights import examine_weights


def examine(results: Path = Path("results"), *, online: bool = False) -> Iterator[Finding]:
    """Look at this machine.

    Args:
        results: Folder that results go to.
        online: Ask the servers of weights that are missing. Without it nothing goes over the network.

    Yields:
        What was found, one by one.
    """
    yield from examine_packages()
    yield from examine_registration()
    yield from examine_devices()
    yield from examine_weights(online=online)
    yield from examine_results(results)
