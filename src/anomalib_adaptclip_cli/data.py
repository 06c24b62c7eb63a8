# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``data``."""

from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table

from .console import say


def data(action: Literal["check"], name: str, root: Path | None = None) -> int:  # noqa: ARG001  # there is only one
    """Count the images of a data set of the paper, and report what is wrong with it.

    Args:
        action: What to do. The only action is check.
        name: Name of the data set, which is that of a file in configs/data, such as mvtec.
        root: Folder of the data set. By default the folder named in that file is used.

    Returns:
        0, or 1 if something is wrong.

    Raises:
        ValueError: If there is no such data set.
    """
    from anomalib_adaptclip.data.check import check_data_set

    reports = list(check_data_set(name, root))
    table = Table("category", "train normal", "test normal", "test abnormal", "masks", title=name)
    for report in reports:
        table.add_row(report.category, *map(str, report.counts or "????"))
    Console().print(table)
    for report in reports:
        for problem in report.problems:
            say(f"{report.category}: {problem}")
    return int(any(report.problems for report in reports))
