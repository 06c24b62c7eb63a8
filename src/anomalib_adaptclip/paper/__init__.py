# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The results of the paper's Tables 1 to 5, for comparison with own results.

Example:
    >>> from anomalib_adaptclip.paper import read_table
    >>> table = read_table(1)
    >>> table[(table.method == "AdaptCLIP") & (table.shots == "1") & (table.dataset == "VisA")].value.item()
    90.5
"""

from pathlib import Path

import pandas as pd

from anomalib_adaptclip.argument_types import require_types

TABLES = (1, 2, 3, 4, 5)


def read_table(number: int) -> pd.DataFrame:
    """Read a table of the paper, one value in each row.

    Data sets and methods have the names used in the paper. The lower-case name of a data set is the name of its file in
    ``configs/data``. The paper's means over data sets appear as the data sets "AVG industrial" and "AVG medical". In
    Table 1, the zero-shot row is called "AnomalyCLIP+" too, as in the paper. In the paper's Table 3, a cell names the
    method of several rows; the rows were assigned by their numbers of parameters, which the text of the paper repeats.

    Args:
        number: Number of the table: 1 image AUROC, 2 pixel AUPR, 3 cost, 4 other methods, 5 ablations.

    Returns:
        Columns ``table``, ``dataset`` (empty in Table 3), ``method``, ``shots`` ("0", "1", ..., "full"), ``metric``,
        ``value`` and ``std`` (NaN if the paper gives none). Metrics are ``image_AUROC`` and ``pixel_AUPR`` in percent,
        in Table 3 millions of parameters and milliseconds. Table 3 also has ``backbone`` and ``input_size``, Table 5
        ``row`` and whether it has the adapters ``textual``, ``visual`` and ``prompt_query``.

    Raises:
        ValueError: If there is no such table.
    """
    require_types(read_table, locals())
    if number not in TABLES:
        msg = f"There are the tables {TABLES}; got {number}."
        raise ValueError(msg)
    types = {"dataset": str, "shots": str, "value": float, "std": float}
    table = pd.read_csv(Path(__file__).parent / f"table{number}.csv", dtype=types)
    return table.fillna({"dataset": ""})
