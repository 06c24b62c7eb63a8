# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The report of a comparison, out of its table: Markdown, CSV and an HTML page that needs nothing else.

Data flows down this list: ``runs`` (rows of the table), ``published`` (the paper's figures), ``averages`` (means over
seeds, categories and data sets), ``grids`` (tables as they are shown), ``facts`` (what was run), ``plots``,
``pictures`` (the gallery), ``csv_files`` and ``templates`` (formats), ``writing``.
"""

from .writing import write_report

__all__ = ["write_report"]
