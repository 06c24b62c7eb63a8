# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``doctor``."""

from pathlib import Path

from .console import say


def doctor(results: Path = Path("results"), online: bool = False) -> int:
    """Tell whether this machine is ready: packages, devices, weights, anomalib, a line each.

    A fault names its remedy, and makes the exit code 1. A note is good to know, and no more.

    Args:
        results: Folder that results go to.
        online: Ask the servers whether missing weights can be downloaded. Else nothing goes over the network.
    """
    from anomalib_adaptclip.doctor import examine

    faults = 0
    for finding in examine(results, online=online):
        say(str(finding))
        faults += finding.state == "fault"
    say("All is well." if not faults else f"{faults} {'fault' if faults == 1 else 'faults'}.")
    return int(faults > 0)
