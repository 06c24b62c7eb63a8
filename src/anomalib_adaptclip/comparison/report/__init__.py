# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Writes the report of a comparison from its table: Markdown, CSV and a self-contained HTML page.

Data flows down this list: ``runs`` (rows of the table), ``published`` (the paper's figures), ``averages`` (averages
over categories, seeds and data sets), ``grids`` (tables as they are shown), ``facts`` (what was run), ``pictures``
(the gallery), ``drawing`` (what plots have in common), ``plots``, ``curve_plots``, ``csv_files`` and ``templates``
(formats), ``writing`` (files).
"""

from .writing import write_report

__all__ = ["write_report"]
