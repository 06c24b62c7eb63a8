# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tables of results: rows, boxes, and what a broken run leaves."""

import csv
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from anomalib.data import InferenceBatch

from anomalib_adaptclip.results.geometry import FileGeometry
from anomalib_adaptclip.results.prediction_row import PredictionRow, prediction_rows
from anomalib_adaptclip.results.prediction_table import PredictionTable, draft_of, read_predictions, shard_of
from anomalib_adaptclip.results.regions import boxes_of
from tests.files.test_tensors import full_disk

HEADER = ",".join(PredictionRow._fields)
ROWS = [
    PredictionRow("a/1.png", 0.25, 0, []),
    PredictionRow(
        'a/"odd", name\udcff.png', 0.75, 1, [(0, 1, 2, 3), (4, 5, 6, 7)], 0.1, 1 / 3, 1e-9, (4, 3), (0.5, 0.25)
    ),
    PredictionRow("a/3.png", 1 / 3, None, []),
]
PLAIN = [ROWS[0], ROWS[2]]


@pytest.fixture(params=[".csv", ".parquet"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / f"results{request.param}"


# Rows


def mask_of(*boxes: tuple[int, int, int, int]) -> torch.Tensor:
    mask = torch.zeros(10, 20, dtype=torch.bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


SAME = FileGeometry().of((10, 20), (10, 20))


def test_boxes_in_pixels_of_the_mask() -> None:
    assert boxes_of(mask_of(), SAME) == []
    assert boxes_of(mask_of((3, 2, 5, 7), (19, 9, 20, 10)), SAME) == [(3, 2, 5, 7), (19, 9, 20, 10)]


def test_pixels_that_touch_at_a_corner_are_one_region() -> None:
    assert boxes_of(mask_of((0, 0, 2, 2), (2, 2, 4, 4)), SAME) == [(0, 0, 4, 4)]


def test_boxes_are_scaled_to_the_image() -> None:
    geometry = FileGeometry().of((25, 10), (10, 20))
    assert boxes_of(mask_of((3, 2, 5, 7)), geometry) == [(1, 5, 3, 18)]  # x by 0.5, y by 2.5, outwards


@pytest.mark.parametrize("shape", [(2, 10, 20), (2, 1, 10, 20)])
def test_rows_of_a_batch(shape: tuple[int, ...]) -> None:
    masks = torch.stack([mask_of(), mask_of((3, 2, 5, 7))]).reshape(shape)
    batch = InferenceBatch(
        pred_score=torch.tensor([0.25, 0.5]), pred_label=torch.tensor([False, True]), pred_mask=masks
    )
    assert prediction_rows(["a", "b"], batch) == [
        PredictionRow("a", 0.25, 0, []),
        PredictionRow("b", 0.5, 1, [(3, 2, 5, 7)], region_areas=(10,)),
    ]


def test_rows_without_thresholds() -> None:
    assert prediction_rows(["a"], InferenceBatch(pred_score=torch.tensor([[0.25]]))) == [
        PredictionRow("a", 0.25, None, [])
    ]


# The file


def test_what_is_written_is_read(table: Path) -> None:
    rows = ROWS if table.suffix == ".csv" else PLAIN
    with PredictionTable(table) as file:
        file.write(rows[:1])
        file.write(rows[1:])
    assert list(read_predictions(table)) == rows
    assert list(table.parent.iterdir()) == [table]


def test_columns_of_csv(tmp_path: Path) -> None:
    with PredictionTable(tmp_path / "a.csv") as file:
        file.write(PLAIN)
    with (tmp_path / "a.csv").open() as plain:
        row = next(csv.DictReader(plain))
    assert {name: row.pop(name) for name in ("path", "score", "label", "boxes")} == {
        "path": "a/1.png", "score": "0.25", "label": "0", "boxes": "[]",
    }  # fmt: skip
    assert row == {
        "raw_score": "",
        "raw_threshold": "",
        "normal_share": "",
        "region_areas": "[]",
        "region_scores": "[]",
    }


def test_columns_of_parquet(tmp_path: Path) -> None:
    with PredictionTable(tmp_path / "a.parquet") as file:
        file.write(
            [PredictionRow(str(number), number / 3000, number % 2, [(0, 0, 1, number)]) for number in range(3000)]
        )
    found = pq.read_table(tmp_path / "a.parquet")
    assert found.schema.names == list(PredictionRow._fields)
    assert found["boxes"][2999].as_py() == [[0, 0, 1, 2999]]
    assert found["score"].to_pylist() == [number / 3000 for number in range(3000)]


def test_rows_are_on_disk_at_once_but_not_in_the_table(table: Path) -> None:
    file = PredictionTable(table)
    file.write(PLAIN[:1])
    assert "a/1.png,0.25,0,[],,,,[],[]" in draft_of(table).read_text().splitlines()
    assert not table.exists()
    file.abandon()


def test_a_broken_run_leaves_no_table_and_may_be_gone_on_with(table: Path) -> None:
    with pytest.raises(KeyboardInterrupt), PredictionTable(table) as file:  # noqa: PT012
        file.write(PLAIN[:1])
        raise KeyboardInterrupt
    assert not table.exists()
    with draft_of(table).open("a") as draft:
        draft.write("a/2.png,0.")  # killed while it wrote
    with PredictionTable(table, resume=True) as file:
        assert file.paths == {"a/1.png"}
        file.write(PLAIN[1:])
    assert list(read_predictions(table)) == PLAIN


@pytest.mark.parametrize("left", ["", "path,sc"])
def test_a_run_killed_at_its_start(table: Path, left: str) -> None:
    draft_of(table).write_text(left)
    with PredictionTable(table, resume=True) as file:
        file.write(PLAIN)
    assert list(read_predictions(table)) == PLAIN


def test_a_table_may_be_added_to(table: Path) -> None:
    with PredictionTable(table) as file:
        file.write(PLAIN[:1])
    file = PredictionTable(table, resume=True)
    assert file.paths == {"a/1.png"}
    assert list(read_predictions(table)) == PLAIN[:1]  # until the end
    file.write(PLAIN[1:])
    file.finish()
    assert list(read_predictions(table)) == PLAIN


def test_without_resume_it_starts_anew(table: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyboardInterrupt), PredictionTable(table) as file:  # noqa: PT012
        file.write(PLAIN[1:])
        raise KeyboardInterrupt
    with PredictionTable(table) as file:
        file.write(PLAIN)
    assert "an interrupted run is replaced" in caplog.text
    caplog.clear()
    with PredictionTable(table) as file:
        file.write(PLAIN[1:])
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert list(read_predictions(table)) == PLAIN[1:]


def test_a_run_that_fails_before_its_first_rows_leaves_the_draft(table: Path) -> None:
    file = PredictionTable(table)
    file.write(PLAIN[:1])
    file.abandon()
    PredictionTable(table).abandon()
    with PredictionTable(table, resume=True) as file:
        assert file.paths == {"a/1.png"}
    assert list(read_predictions(table)) == PLAIN[:1]


def test_a_table_that_is_empty(table: Path) -> None:
    with PredictionTable(table):
        pass
    assert list(read_predictions(table)) == []


def test_parquet_refuses_names_that_are_not_utf8(tmp_path: Path) -> None:
    """With the first row, not when all is done."""
    file = PredictionTable(tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"UTF-8, and that of the file 'a/.*name\\udcff.png' is not. Rename it, or"):
        file.write(ROWS)
    file.write(PLAIN)
    file.finish()
    assert list(read_predictions(tmp_path / "a.parquet")) == PLAIN


OTHER_WRITER = """
import sys
from anomalib_adaptclip.results.prediction_table import PredictionTable
file = PredictionTable(sys.argv[1])
print("open", flush=True)
input()
"""


@pytest.mark.parametrize("resume", [False, True])
def test_a_table_has_one_writer(table: Path, resume: bool) -> None:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", OTHER_WRITER, str(table)], env=environment, **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(ValueError, match=rf"Another run is writing .*{table.name}\. Wait .* or name another file"):
            PredictionTable(table, resume)
        other.kill()
    with PredictionTable(table, resume) as file:
        file.write(PLAIN)
    assert list(read_predictions(table)) == PLAIN
    assert list(table.parent.iterdir()) == [table]


def test_a_writer_that_is_done_with_leaves_the_next_one_alone(table: Path) -> None:
    first = PredictionTable(table)
    first.write(PLAIN)
    first.finish()
    second = PredictionTable(table)
    first.abandon()
    with pytest.raises(ValueError, match="Another run"):
        PredictionTable(table)
    second.finish()


@pytest.mark.parametrize("cut", range(1, 36))
def test_a_torn_row_whose_path_has_several_lines(tmp_path: Path, cut: int) -> None:
    rows = [PredictionRow('a "1"\n\n\r2.png', 0.5, 1, []), PredictionRow("b\n,\rc", 0.5, 1, [(0, 0, 1, 1)])]
    table = tmp_path / "a.csv"
    file = PredictionTable(table)
    file.write(rows)
    file.abandon()
    draft_of(table).write_bytes(draft_of(table).read_bytes()[:-cut])
    with PredictionTable(table, resume=True) as file:
        assert file.paths == {rows[0].path}
        file.write(rows[1:])
    assert list(read_predictions(table)) == rows


def test_another_table_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("name,age\nx,1\n")
    with pytest.raises(ValueError, match=r"its columns are \['name', 'age'\], not \['path', 'score'"):
        PredictionTable(tmp_path / "a.csv", resume=True)
    assert (tmp_path / "a.csv").read_text() == "name,age\nx,1\n"
    assert list(tmp_path.iterdir()) == [tmp_path / "a.csv"]


def test_wrong_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"a file named \*.csv or \*.parquet; got results.txt"):
        PredictionTable("results.txt")
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(ValueError, match="is a folder"):
        PredictionTable(tmp_path / "a.csv")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ValueError, match="needs pyarrow: pip install"):
        PredictionTable(tmp_path / "a.parquet")


# What is resumed


RUN = {"version": "1", "adapters": "a"}


def broken_off(table: Path, identity: dict[str, str] | None = None) -> None:
    file = PredictionTable(table)
    if identity:
        file.require_same_run(identity)
    file.write(PLAIN[:1])
    file.abandon()


@pytest.mark.parametrize("finished", [False, True])
def test_a_run_with_something_else_is_not_gone_on_with(table: Path, finished: bool) -> None:
    broken_off(table, RUN)
    if finished:
        with PredictionTable(table, resume=True) as file:
            file.require_same_run(RUN)
    before = {path: path.read_bytes() for path in table.parent.iterdir()}
    with (
        pytest.raises(ValueError, match=r"other options: adapters was a and is b\. Give the same"),
        PredictionTable(table, resume=True) as file,
    ):
        file.require_same_run(RUN | {"adapters": "b"})
    assert {path: path.read_bytes() for path in table.parent.iterdir()} == before
    with PredictionTable(table, resume=True) as file:
        file.require_same_run(RUN)
        file.write(PLAIN[1:])
    assert list(read_predictions(table)) == PLAIN


def test_rows_of_which_nothing_is_known_are_not_gone_on_with(table: Path) -> None:
    broken_off(table)
    with (
        pytest.raises(ValueError, match=r"cannot be resumed: .*part\.run\.json, which tells how .* is lost"),
        PredictionTable(table, resume=True) as file,
    ):
        file.require_same_run(RUN)


def test_a_new_run_takes_away_the_record_of_the_one_before(table: Path) -> None:
    with PredictionTable(table) as file:
        file.require_same_run(RUN)
        file.write(PLAIN)
    assert sorted(path.name for path in table.parent.iterdir()) == [table.name, f"{table.name}.run.json"]
    with PredictionTable(table) as file:
        file.write(PLAIN)
    assert list(table.parent.iterdir()) == [table]


# What is damaged, and full disks


@pytest.mark.parametrize(
    "row",
    [
        "a.png,0.5,0,[],,,,[]",
        "a.png,0.5",
        "a.png,x,0,[],,,,[],[]",
        "a.png,nan,0,[],,,,[],[]",
        "a.png,,0,[],,,,[],[]",
        "a.png,0.5,7,[],,,,[],[]",
        "a.png,0,0,[[1]],,,,[],[]",
        "a.png,0,0,{,,,,[],[]",
        'a.png,0,0,"[[1,2,3,""x""]]",,,,[],[]',
        "a.png,0,0,[],x,,,[],[]",
        "a.png,0,0,[],,Infinity,,[],[]",
        "a.png,0,0,[],,,true,[],[]",
        "a.png,0,0,[],,,,[1],[]",
        "a.png,0,0,[],,,,,[]",
        'a.png,0,0,"[[1,2,3,4]]",,,,[1],"[""x""]"',
        'a.png,0,0,"[[1,2,3,4]]",,,,[1],"[0.5, 0.5]"',
    ],
)
def test_a_row_of_another_shape_is_told_with_its_line(tmp_path: Path, row: str) -> None:
    draft = draft_of(tmp_path / "a.csv")
    draft.write_text(f"{HEADER}\nb.png,0.5,0,[],,,,[],[]\n{row}\n")
    with pytest.raises(ValueError, match=r"a\.csv\.part, line 3: expected path, score, label and boxes.* start anew"):
        PredictionTable(tmp_path / "a.csv", resume=True)
    PredictionTable(tmp_path / "a.csv").abandon()  # the lock is free


def test_a_draft_with_a_nul_is_told(tmp_path: Path) -> None:
    draft_of(tmp_path / "a.csv").write_bytes(f"{HEADER}\nb.png,0.5,0,\0,,,,[],[]\n".encode())
    with pytest.raises(ValueError, match=r"a\.csv\.part, line 2: expected path"):
        PredictionTable(tmp_path / "a.csv", resume=True)


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"a\.parquet: expected path, score"):
        PredictionTable(tmp_path / "a.parquet", resume=True)


def test_a_full_disk_keeps_the_draft_and_frees_the_lock(table: Path) -> None:
    rows = [PredictionRow(f"{number}.png", 0.5, 0, []) for number in range(1000)]
    with (
        full_disk(),
        pytest.raises(OSError, match=r"Cannot write .*part: .*rows so far are kept there: go on with resume"),
        PredictionTable(table) as file,
    ):
        file.write(rows)
    with PredictionTable(table, resume=True) as file:
        assert len(file.paths) > 10
    assert len(list(read_predictions(table))) == len(file.paths)


def test_a_full_disk_at_the_end(table: Path) -> None:
    file = PredictionTable(table)
    file.write(PLAIN)
    file.draft.unlink()
    with pytest.raises(OSError, match="Cannot write"):
        file.finish()
    PredictionTable(table).abandon()


def test_a_table_behind_a_link_stays_there(table: Path) -> None:
    target = table.parent / "elsewhere" / table.name
    target.parent.mkdir()
    table.symlink_to(target)
    with PredictionTable(table) as file:
        file.require_same_run(RUN)
        file.write(PLAIN)
        assert file.draft.parent == target.parent
    assert table.is_symlink()
    assert list(read_predictions(target)) == PLAIN
    assert sorted(path.name for path in target.parent.iterdir()) == [target.name, f"{target.name}.run.json"]


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_is_no_row(score: float) -> None:
    batch = InferenceBatch(pred_score=torch.tensor([0.5, score]), pred_label=torch.tensor([False, False]))
    with pytest.raises(ValueError, match=rf"The score of b\.png is {score}, not a number"):
        prediction_rows(["a.png", "b.png"], batch)


def test_names_of_shards() -> None:
    assert shard_of("a/b.csv", 0, 1) == Path("a/b.csv")
    assert shard_of("a/b.csv", 1, 2) == Path("a/b-1-of-2.csv")
