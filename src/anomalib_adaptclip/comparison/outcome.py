# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The result of a run: its row of the table, and perhaps curves and pictures for the report."""

import logging
from operator import methodcaller
from pathlib import Path
from typing import NamedTuple

from anomalib_adaptclip.files.atomic import write_atomically

from .run_files import curves_path, gallery_path
from .run_row import RunRow
from .run_table import RunTable

logger = logging.getLogger(__name__)


class RunOutcome(NamedTuple):
    """Result of a run that has finished or failed.

    Attributes:
        row: Row of the table, with metrics or with an error.
        gallery: Content of the file with the run's pictures, empty if it has none.
        curves: Content of the file with the run's curves, empty if it has none.
    """

    row: RunRow
    gallery: bytes = b""
    curves: bytes = b""

    def store(self, table: RunTable[RunRow]) -> None:
        """Write curves and pictures to files beside the table, and then the row to the table.

        Args:
            table: Table of the sweep.

        Raises:
            ValueError: If the file of the table is not a table of runs.
            OSError: If it cannot be written.
        """
        self._keep("pictures", gallery_path(table.path, self.row), self.gallery)
        self._keep("curves", curves_path(table.path, self.row), self.curves)
        table.store(self.row)

    def _keep(self, what: str, path: Path, content: bytes) -> None:
        """Write a file of the run. If it cannot be written, there is a warning: the figures are worth more."""
        if content:
            try:
                write_atomically(path, methodcaller("write_bytes", content))
            except (OSError, ValueError) as error:
                logger.warning("The %s of this run are lost, and its figures kept. %s", what, error)
