# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""CSV: what is written is read again, whatever a cell holds."""

import csv
from pathlib import Path

import pytest

from anomalib_adaptclip.files.csv_rows import open_csv, write_rows


@pytest.mark.parametrize("cell", ["a,b", 'a "b"', "a\nb", "a\rb", "a\r\nb", "\udcff.png", "é"])
def test_any_cell_comes_back(tmp_path: Path, cell: str) -> None:
    with open_csv(tmp_path / "a.csv", "w") as file:
        write_rows(file, [[cell, 1, None], ["x", "y", "z"]])
    with open_csv(tmp_path / "a.csv") as file:
        assert list(csv.reader(file)) == [[cell, "1", ""], ["x", "y", "z"]]


def test_rows_end_with_a_line_feed(tmp_path: Path) -> None:
    with open_csv(tmp_path / "a.csv", "w") as file:
        write_rows(file, [["a", 0.5]])
    assert (tmp_path / "a.csv").read_bytes() == b"a,0.5\n"
