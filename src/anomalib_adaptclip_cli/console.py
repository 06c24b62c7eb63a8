# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the commands print: lines, tables, progress bars."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn


def say(text: str, console: Console | None = None) -> None:
    """Print a line as it is: neither wrapped nor coloured, and brackets in names of files are no markup."""
    (console or Console()).print(text, markup=False, highlight=False, soft_wrap=True)


def progress_bar(*columns: ProgressColumn, console: Console | None = None, transient: bool = False) -> Progress:
    """A progress bar that counts.

    Args:
        columns: Columns to put behind the usual ones.
        console: Where to show it, by default the standard output.
        transient: Whether it disappears when all is done.
    """
    usual = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*usual, *columns, console=console, transient=transient)
