# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""CSV: what is written is read again, whatever a cell holds."""

import csv
from pathlib import Path

import pytest

from anomalib_adaptclip.files.csv_rows import describe_error, open_csv, write_rows


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


@pytest.mark.parametrize(("cell", "read"), [("a\ud800b", "a\\ud800b"), ("a\0b", "a\\x00b"), ("x" * 10**6, "x" * 10**6)])
def test_what_csv_cannot_hold_does_not_make_a_table_unreadable(tmp_path: Path, cell: str, read: str) -> None:
    with open_csv(tmp_path / "a.csv", "w") as file:
        write_rows(file, [[cell]])
    with open_csv(tmp_path / "a.csv") as file:
        assert list(csv.reader(file)) == [[read]]


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\udcff\ud800\0"), "ValueError: a\\udcff\\ud800\\x00"),
        (ValueError("x" * 20_000), "ValueError: " + "x" * 9988 + " ... and 10012 more characters"),
        (MuteError(), "MuteError, whose message cannot be read (RuntimeError)"),
    ],
)
def test_any_error_is_described(error: Exception, text: str) -> None:
    assert describe_error(error) == text
