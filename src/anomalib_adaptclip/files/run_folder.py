# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""One folder of results for a run in several processes."""

import shutil
from pathlib import Path
from typing import Any, cast

from lightning.pytorch import Trainer
from lightning.pytorch.utilities import rank_zero_only


def results_name(name: str) -> str:
    """Name for the folder of the results, in which anomalib makes a new version in each process.

    Args:
        name: What the first process takes.

    Returns:
        A hidden folder for each of the others, so that they do not take the versions and the link of the first.
    """
    rank = cast("Any", rank_zero_only).rank
    return f"{name}/.process-{rank}" if rank else name


def share_results_folder(trainer: Trainer) -> None:
    """Let all processes use the results folder of the first, and remove the empty ones of the others.

    Args:
        trainer: Whose processes are connected already.
    """
    own = Path(trainer.default_root_dir)
    shared = trainer.strategy.broadcast(str(own))
    if own.parent.name == f".process-{trainer.global_rank}":
        cast("Any", trainer)._default_root_dir = shared  # noqa: SLF001  # has no setter
        shutil.rmtree(own.parent, ignore_errors=True)
