# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A watched folder: each file once, when it is complete, also after a restart."""

import csv
import logging
import shutil
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from anomalib_adaptclip.service.judge import Photo, refused
from anomalib_adaptclip.service.watched_table import COLUMNS, WatchedTable
from anomalib_adaptclip.service.watching import FolderWatch, Watched, require_watched


class Judge:
    """Tells what it was given; content other than b"image" is damaged."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.categories: list[str | None] = []
        self.fails = False

    def __call__(self, photos: Sequence[Photo]) -> list[dict[str, Any]]:
        self.names += [photo.name for photo in photos]
        self.categories += [photo.category for photo in photos]
        return [self.answer(photo) for photo in photos]

    def answer(self, photo: Photo) -> dict[str, Any]:
        if self.fails:
            return refused(photo.name, "internal", "out of memory")
        if photo.content != b"image":
            return refused(photo.name, "damaged", f"{photo.name} is truncated")
        region = {"box": [1, 2, 3, 4], "area": 4, "score": 0.5}
        scores = {"score": 0.4, "normalized_score": 0.6, "threshold": 0.3, "normal_share": None}
        return {"name": photo.name, "label": 1, "regions": [region], **scores}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def judge() -> Judge:
    return Judge()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    (tmp_path / "in").mkdir()
    return Watched(tmp_path / "in", tmp_path / "verdicts.csv", settle=2)


@pytest.fixture
def watch(watched: Watched, judge: Judge, clock: Clock) -> FolderWatch:
    return FolderWatch(watched, judge, clock=clock)


@pytest.fixture
def table(watched: Watched) -> Iterator[WatchedTable]:
    with WatchedTable(watched.table) as opened:
        yield opened


def rows(watched: Watched) -> list[dict[str, str]]:
    with watched.table.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_file_that_was_closed_is_judged_at_once_and_once(
    watched: Watched, watch: FolderWatch, table: WatchedTable, judge: Judge, clock: Clock
) -> None:
    (watched.folder / "a.png").write_bytes(b"image")
    for _ in range(3):
        watch.step(table, {str(watched.folder / "a.png")})
        clock.now += 5
    assert judge.names == ["a.png"]
    [row] = rows(watched)
    assert (row["path"], row["score"], row["label"], row["boxes"]) == ("a.png", "0.6", "1", "[[1, 2, 3, 4]]")
    assert (row["raw_score"], row["raw_threshold"], row["error"]) == ("0.4", "0.3", "")


def test_a_file_that_nobody_told_of_is_judged_when_it_has_settled(
    watched: Watched, watch: FolderWatch, table: WatchedTable, judge: Judge, clock: Clock
) -> None:
    (watched.folder / "a.png").write_bytes(b"im")
    watch.step(table, set())
    clock.now = 1.9
    (watched.folder / "a.png").write_bytes(b"image")  # it grows, so its time begins anew
    watch.step(table, set())
    clock.now = 3.8
    watch.step(table, set())
    assert judge.names == []
    clock.now = 3.9
    watch.step(table, set())
    assert judge.names == ["a.png"]


def test_a_file_that_cannot_be_read_is_told_by_name_when_it_has_settled(
    watched: Watched, watch: FolderWatch, table: WatchedTable, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    for name, content in (("half.png", b"im"), ("whole.png", b"image")):
        (watched.folder / name).write_bytes(content)
    watch.step(table, {str(watched.folder / name) for name in ("half.png", "whole.png")})
    assert [row["path"] for row in rows(watched)] == ["whole.png"]
    clock.now = 2
    watch.step(table, set())
    clock.now = 9
    watch.step(table, set())
    assert [(row["path"], row["error"]) for row in rows(watched)][1:] == [("half.png", "half.png is truncated")]
    assert caplog.messages == ["half.png is truncated"]


def test_it_goes_on_after_a_restart_with_what_came_meanwhile(
    watched: Watched, judge: Judge, clock: Clock, watch: FolderWatch
) -> None:
    (watched.folder / "a.png").write_bytes(b"image")
    with WatchedTable(watched.table) as table:
        watch.step(table, {str(watched.folder / "a.png")})
    (watched.folder / "sub").mkdir()
    (watched.folder / "sub" / "b.png").write_bytes(b"image")
    anew = FolderWatch(watched, judge, clock=clock)
    with WatchedTable(watched.table) as table:
        anew.step(table, set())
        clock.now = 2
        anew.step(table, set())
    assert judge.names == ["a.png", "sub/b.png"]
    assert [row["path"] for row in rows(watched)] == ["a.png", "sub/b.png"]


def test_a_row_that_was_cut_off_is_written_anew(watched: Watched, watch: FolderWatch, judge: Judge) -> None:
    for name in ("a.png", "b.png"):
        (watched.folder / name).write_bytes(b"image")
    closed = {str(watched.folder / name) for name in ("a.png", "b.png")}
    with WatchedTable(watched.table) as table:
        watch.step(table, closed)
    content = watched.table.read_bytes()
    watched.table.write_bytes(content[:-10])
    with WatchedTable(watched.table) as table:
        watch.step(table, closed)
    assert judge.names == ["a.png", "b.png", "b.png"]
    assert [row["path"] for row in rows(watched)] == ["a.png", "b.png"]


def test_new_content_under_an_old_name_is_another_file(
    watched: Watched, watch: FolderWatch, table: WatchedTable, judge: Judge
) -> None:
    for content in (b"image", b"other"):
        (watched.folder / "a.png").write_bytes(content)
        watch.step(table, {str(watched.folder / "a.png")})
    assert judge.names == ["a.png", "a.png"]


def test_what_the_service_failed_on_is_judged_later(
    watched: Watched, watch: FolderWatch, table: WatchedTable, judge: Judge, clock: Clock
) -> None:
    (watched.folder / "a.png").write_bytes(b"image")
    judge.fails = True
    watch.step(table, set())
    clock.now = 2
    watch.step(table, set())
    assert rows(watched) == []
    judge.fails = False
    watch.step(table, set())
    assert [row["path"] for row in rows(watched)] == ["a.png"]


def test_what_the_service_fails_on_each_time_gets_its_error(
    watched: Watched, watch: FolderWatch, table: WatchedTable, judge: Judge
) -> None:
    (watched.folder / "a.png").write_bytes(b"image")
    judge.fails = True
    for _ in range(5):
        watch.step(table, {str(watched.folder / "a.png")})
    assert judge.names == ["a.png"] * 3
    assert [(row["path"], row["error"]) for row in rows(watched)] == [("a.png", "out of memory")]


def test_a_look_that_fails_does_not_end_the_watching(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    done = threading.Event()

    class Broken(Judge):
        def __call__(self, photos: Sequence[Photo]) -> list[dict[str, Any]]:
            if not self.names:
                self.names.append("")
                msg = "no answer"
                raise RuntimeError(msg)
            done.set()
            return super().__call__(photos)

    (watched.folder / "a.png").write_bytes(b"image")
    watch = FolderWatch(Watched(watched.folder, watched.table, settle=0.2), Broken())
    watch.start()
    assert done.wait(60)
    watch.stop()
    assert [row["path"] for row in rows(watched)] == ["a.png"]
    assert "A look at" in caplog.text


def test_hidden_files_and_others_than_images_are_passed_over(
    watched: Watched, watch: FolderWatch, table: WatchedTable, judge: Judge
) -> None:
    for name in (".a.png", "a.png.part", "notes.txt"):
        (watched.folder / name).write_bytes(b"image")
    watch.step(table, {str(path) for path in watched.folder.iterdir()})
    assert judge.names == []


def test_the_folder_names_the_category_of_a_bank(
    watched: Watched, judge: Judge, table: WatchedTable, clock: Clock
) -> None:
    watch = FolderWatch(watched, judge, ["cable"], clock)
    for name in ("cable", "pill"):
        (watched.folder / name).mkdir()
        (watched.folder / name / "a.png").write_bytes(b"image")
    watch.step(table, set())
    clock.now = 2
    watch.step(table, set())
    assert (judge.names, judge.categories) == (["cable/a.png"], ["cable"])
    [error] = [row["error"] for row in rows(watched) if row["path"] == "pill/a.png"]
    assert error == "pill/a.png should lie in a folder called as a category of the prompt bank: cable. Move it."


def test_the_system_tells_of_files_that_are_written_and_moved_in(watched: Watched, tmp_path: Path) -> None:
    judged: list[str] = []
    done = threading.Event()

    class Told(Judge):
        def __call__(self, photos: Sequence[Photo]) -> list[dict[str, Any]]:
            judged.extend(photo.name for photo in photos)
            if {"written.png", "moved.png"} <= {*judged}:
                done.set()
            return super().__call__(photos)

    watch = FolderWatch(Watched(watched.folder, watched.table, settle=0.2), Told())
    watch.start()
    (watched.folder / "written.png").write_bytes(b"image")
    (tmp_path / "moved.png").write_bytes(b"image")
    shutil.move(tmp_path / "moved.png", watched.folder / "moved.png")
    assert done.wait(60)
    watch.stop()
    assert sorted(judged) == ["moved.png", "written.png"]
    assert sorted(row["path"] for row in rows(watched)) == ["moved.png", "written.png"]


def test_another_table_is_left_alone(watched: Watched) -> None:
    watched.table.write_text("path,score\na.png,0.5\n")
    with pytest.raises(ValueError, match="is not a table of a watched folder: its columns are others"):
        require_watched(watched)
    assert watched.table.read_text() == "path,score\na.png,0.5\n"


def test_two_runs_do_not_write_one_table(watched: Watched, table: WatchedTable) -> None:
    with pytest.raises(ValueError, match="Another run is writing"):
        WatchedTable(watched.table)
    assert watched.table.read_text() == f"{','.join(COLUMNS)}\n"
    assert table.known == set()
