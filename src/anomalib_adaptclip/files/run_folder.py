# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Gives a run in several processes a single folder of results."""

import shutil
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only


def results_name(name: str) -> str:
    """Name the folder of results, in which each process of anomalib creates a new version.

    Args:
        name: Name that the first process uses.

    Returns:
        The same name in the first process. In other processes, the name of a hidden folder, so that they do not change
        the versions and the link of the first process.
    """
    rank = cast("Any", rank_zero_only).rank
    return f"{name}/.process-{rank}" if rank else name


def share_results_folder(trainer: Trainer) -> None:
    """Remove the results folder that anomalib created for this process, unless it is the first process.

    Nothing is written to that folder: Lightning's checkpoint callback uses the folder of the first process, and only
    that process logs.

    Args:
        trainer: Trainer of a run whose data module is named by :func:`results_name`.
    """
    own = Path(trainer.default_root_dir)
    if own.parent.name == f".process-{trainer.global_rank}":
        shutil.rmtree(own.parent, ignore_errors=True)
