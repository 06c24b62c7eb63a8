# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a run of a sweep gives: its row, and perhaps pictures for the report."""

from operator import methodcaller
from typing import NamedTuple

from anomalib_adaptclip.files.atomic import write_atomically

from .gallery_file import gallery_path
from .run_row import RunRow
from .run_table import RunTable


class RunOutcome(NamedTuple):
    """A run that is through.

    Attributes:
        row: Its row of the table, with figures or with an error.
        gallery: Content of the file with its pictures, empty if it has none.
    """

    row: RunRow
    gallery: bytes = b""

    def store(self, table: RunTable[RunRow]) -> None:
        """Write the pictures into a file beside the table, and then the row into the table.

        Raises:
            ValueError: If the file of the table holds something else.
        """
        if self.gallery:
            write_atomically(gallery_path(table.path, self.row), methodcaller("write_bytes", self.gallery))
        table.store(self.row)
