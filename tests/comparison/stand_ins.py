# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A model that takes its worker with it. Workers import it, so it is no part of a test's file."""

import os
import signal
from pathlib import Path

from anomalib_adaptclip.comparison import UntrainedWinClip


class DeadlyWinClip(UntrainedWinClip):
    """WinCLIP that kills the process that builds it, the first few times.

    Args:
        notes: Folder in which each time is noted. A file would be one of those by which runs are told apart.
        times: How often it kills.
        k_shot: As for WinCLIP.
    """

    def __init__(self, notes: Path, times: int, k_shot: int = 0) -> None:
        super().__init__("object", k_shot)
        Path(notes).mkdir(exist_ok=True)
        before = len([*Path(notes).iterdir()])
        if before < times:
            (Path(notes) / str(before)).touch()
            os.kill(os.getpid(), signal.SIGKILL)
