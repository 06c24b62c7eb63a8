# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""One folder of results for a run in several processes."""

import shutil
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only


def results_name(name: str) -> str:
    """Name the folder of the results, in which anomalib makes a new version in each process.

    Args:
        name: Name that the first process uses.

    Returns:
        The name; for other processes that of a hidden folder, so that they do not change the versions and the link of
        the first.
    """
    rank = cast("Any", rank_zero_only).rank
    return f"{name}/.process-{rank}" if rank else name


def share_results_folder(trainer: Trainer) -> None:
    """Leave only the results folder of the first process: remove the one that anomalib made for this process.

    Nothing is written to it: Lightning's checkpoint callback takes the folder of the first process, and only that
    process logs.

    Args:
        trainer: Trainer of a run whose data module is named by :func:`results_name`.
    """
    own = Path(trainer.default_root_dir)
    if own.parent.name == f".process-{trainer.global_rank}":
        shutil.rmtree(own.parent, ignore_errors=True)
