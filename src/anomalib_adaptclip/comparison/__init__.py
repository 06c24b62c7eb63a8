# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Comparisons: models x data sets x categories x shots x seeds, one row a run, all by the same metrics.

Data flows down this list: ``parts`` (classes named in YAML), ``sweep`` (what to run), ``ranking`` and ``evaluation``
(metrics), ``winclip``, ``views``, ``gallery`` (pictures) and its ``gallery_file``, ``stopwatch``, ``run`` (one run),
``on_ray`` and ``runner`` (all of them), ``table`` (on disk), ``report``.
"""

from .evaluation import METRICS, ComparisonEvaluator
from .ray_executor import require_ray
from .runner import Executor, missing_data, run_all
from .sweep import Run, Sweep, in_words, list_runs, read_sweep
from .table import finished_runs, lock_table, read_table, store_row
from .winclip import NormalizedWinClip, UntrainedWinClip

__all__ = [
    "METRICS",
    "ComparisonEvaluator",
    "Executor",
    "NormalizedWinClip",
    "Run",
    "Sweep",
    "UntrainedWinClip",
    "finished_runs",
    "in_words",
    "list_runs",
    "lock_table",
    "missing_data",
    "read_sweep",
    "read_table",
    "require_ray",
    "run_all",
    "store_row",
]
