# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Prints what the commands show: lines and progress bars."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn


def say(text: str, console: Console | None = None) -> None:
    """Print a line literally: it is neither wrapped nor coloured, and brackets are not markup.

    Args:
        text: Line to print.
        console: Console to print to. By default the standard output is used.
    """
    (console or Console()).print(text, markup=False, highlight=False, soft_wrap=True)


def progress_bar(*columns: ProgressColumn, console: Console | None = None, transient: bool = False) -> Progress:
    """Create a progress bar that counts.

    Args:
        columns: Columns to add after the usual ones.
        console: Console to show it on. By default the standard output is used.
        transient: Whether the bar disappears at the end.
    """
    usual = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = console or Console()
    hidden = transient and not console.is_terminal  # it would leave an empty line
    return Progress(*usual, *columns, console=console, transient=transient, disable=hidden)
