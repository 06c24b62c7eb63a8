# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Comparisons: models x data sets x categories x shots x seeds, one row a run, all by the same metrics.

Data flows down this list: ``parts`` (classes named in YAML), ``sweep`` (what to run), ``ranking`` and ``evaluation``
(metrics), ``winclip``, ``gallery`` (pictures) and its ``gallery_file``, ``run`` (one run), ``runner`` (all of them, in
several processes), ``table`` (on disk), ``report``.
"""

from .evaluation import METRICS, ComparisonEvaluator
from .runner import missing_data, run_all
from .sweep import Run, Sweep, list_runs, read_sweep
from .table import finished_runs, read_table, store_row
from .winclip import NormalizedWinClip

__all__ = [
    "METRICS",
    "ComparisonEvaluator",
    "NormalizedWinClip",
    "Run",
    "Sweep",
    "finished_runs",
    "list_runs",
    "missing_data",
    "read_sweep",
    "read_table",
    "run_all",
    "store_row",
]
