# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tables of runs: what is stored is read again, by type, and what is wrong is told."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from anomalib_adaptclip.comparison import RunRow, RunTable


@dataclass(frozen=True)
class Trial:
    """A row with a column of each type."""

    name: str
    number: int
    on: bool
    score: float | None = None
    images: int | None = None
    error: str = ""
    configuration: str = ""


FIRST = Trial("a, b", 2, on=True, score=1 / 3, images=7, configuration="1")
SECOND = Trial('"x"\r\udcff', 1, on=False, configuration="2")


@pytest.fixture
def table(tmp_path: Path) -> RunTable[Trial]:
    return RunTable(tmp_path / "new" / "trials.csv", Trial)


def test_rows_come_back_in_order(table: RunTable[Trial]) -> None:
    assert table.rows() == []
    table.store(FIRST)
    table.store(SECOND)
    assert table.rows() == [FIRST, SECOND]
    assert [path.name for path in table.path.parent.iterdir()] == ["trials.csv"]


def test_rows_may_have_an_order(tmp_path: Path) -> None:
    table = RunTable(tmp_path / "trials.csv", Trial, lambda row: row.number)
    for number in (10, 9, 11):
        table.store(replace(FIRST, number=number, configuration=str(number)))
    assert [row.number for row in table.rows()] == [9, 10, 11]


def test_a_row_replaces_one_of_the_same_configuration(table: RunTable[Trial]) -> None:
    table.store(replace(FIRST, error="OSError: full"))
    table.store(SECOND)
    assert table.finished() == {"2": SECOND}
    table.store(FIRST)
    assert table.rows() == [SECOND, FIRST]
    assert table.finished() == {"1": FIRST, "2": SECOND}


def test_a_torn_last_row_is_left_out(table: RunTable[Trial], caplog: pytest.LogCaptureFixture) -> None:
    table.store(FIRST)
    table.store(SECOND)
    whole = table.path.read_bytes()
    for length in range(whole.index(b"\n", whole.index(b"a, b")) + 2, len(whole)):
        table.path.write_bytes(whole[:length])
        assert table.rows() == [FIRST]
    assert caplog.records
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (",7,", ",seven,", "images is 'seven', not a number of at least 0"),
        (",7,", ",7.5,", "images is '7.5', not a number of at least 0"),
        (",2,", ",,", "number is '', not a number of at least 0"),
        (",2,", ",-2,", "number is '-2', not a number of at least 0"),
        ("0.33", "nan0.33", "score is 'nan0.33"),
        (",True,", ",yes,", "on is 'yes', not True or False"),
        ("images", "pictures", "its columns are different"),
        (",7,", ",7,,", "its columns are different"),
    ],
)
def test_what_is_no_such_table_is_refused_and_kept(
    table: RunTable[Trial], before: str, after: str, message: str
) -> None:
    table.store(FIRST)
    text = table.path.read_text().replace(before, after)
    table.path.write_text(text)
    with pytest.raises(ValueError, match=f"trials.csv is not a table of runs: {message}.* Move it away, or"):
        table.store(SECOND)
    assert table.path.read_text() == text


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_metric_is_a_fraction(value: float) -> None:
    with pytest.raises(ValueError, match=f"pixel_AP is '{value}', not a number from 0 to 1"):
        RunRow("A", "tiles", "", "0", 10, pixel_AP=value)
