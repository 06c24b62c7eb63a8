# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Models that no host has. Workers import them, so they are no part of a test's file."""

import os
import signal
from pathlib import Path

from anomalib import LearningType

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


class ZeroShotWinClip(UntrainedWinClip):
    """WinCLIP that takes no normal images, as anomalib's ``AnomalyVFM``: it has no argument ``k_shot``."""

    def __init__(self) -> None:
        super().__init__("object")

    @property
    def learning_type(self) -> LearningType:
        """Always zero-shot."""
        return LearningType.ZERO_SHOT
