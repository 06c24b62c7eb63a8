# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Compares models on data sets: models x data sets x categories x shots x seeds, one row per run, with equal metrics.

Data flows down this list: ``components`` (classes named in YAML), ``sweep`` (what to run), ``curves`` (ROC and
precision-recall), ``evaluation`` (metrics), ``winclip``, ``views``, ``gallery_file`` (pictures on disk), ``panels`` (a
single picture), ``same_images`` (those that all models show), ``gallery``, ``stopwatch``, ``run`` (a single run), which
returns an ``outcome`` with a ``run_row`` and ``run_files``, ``executors`` and ``runner`` (all runs), ``run_table``
(results on disk), ``report``. ``ablation`` runs the rows of the paper's Table 5 and stores them in a ``run_table`` too.
"""

from .evaluation import METRICS, ComparisonEvaluator
from .executors import require_ray
from .outcome import RunOutcome
from .run_row import RunRow
from .run_table import RunTable
from .runner import ExecutorName, missing_data, run_all
from .sweep import Run, Sweep, in_words, list_runs, read_sweep
from .winclip import NormalizedWinClip, UntrainedWinClip

__all__ = [
    "METRICS",
    "ComparisonEvaluator",
    "ExecutorName",
    "NormalizedWinClip",
    "Run",
    "RunOutcome",
    "RunRow",
    "RunTable",
    "Sweep",
    "UntrainedWinClip",
    "in_words",
    "list_runs",
    "missing_data",
    "read_sweep",
    "require_ray",
    "run_all",
]
