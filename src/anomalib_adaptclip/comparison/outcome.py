# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The result of a run: its row of the table, and perhaps pictures for the report."""

import logging
from operator import methodcaller
from typing import NamedTuple

from anomalib_adaptclip.files.atomic import write_atomically

from .gallery_file import gallery_path
from .run_row import RunRow
from .run_table import RunTable

logger = logging.getLogger(__name__)


class RunOutcome(NamedTuple):
    """Result of a run that has finished or failed.

    Attributes:
        row: Row of the table, with metrics or with an error.
        gallery: Content of the file with the run's pictures, empty if it has none.
    """

    row: RunRow
    gallery: bytes = b""

    def store(self, table: RunTable[RunRow]) -> None:
        """Write the pictures to a file beside the table, and then the row to the table.

        Args:
            table: Table of the sweep.

        Raises:
            ValueError: If the file of the table is not a table of runs.
            OSError: If it cannot be written.
        """
        if self.gallery:
            try:
                write_atomically(gallery_path(table.path, self.row), methodcaller("write_bytes", self.gallery))
            except (OSError, ValueError) as error:  # the figures are worth more than the pictures
                logger.warning("The pictures of this run are lost, and its figures kept. %s", error)
        table.store(self.row)
