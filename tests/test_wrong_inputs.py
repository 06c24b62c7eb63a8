# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Wrong inputs of commands, constructors and files: each is answered at once, in a sentence that says what to do."""

import os
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import anomalib_adaptclip
from anomalib_adaptclip import AdaptCLIP
from anomalib_adaptclip.clip import LoadedClip, load_clip
from anomalib_adaptclip_cli.parser import COMMANDS, build_parser

from .wrong_inputs import calls
from .wrong_inputs.rows import TABLES, Row, read_table
from .wrong_inputs.world import build_world

ROWS = [row for table in TABLES for row in read_table(table)]
SECONDS = 5.0  # within which an error must come
LONGEST = 1_000  # characters of a message
CLASSES = (ValueError, FileNotFoundError, ConnectionError, OSError)


@pytest.fixture(scope="module")
def model() -> AdaptCLIP:
    return AdaptCLIP(**calls.TINY)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, model: AdaptCLIP) -> Path:
    folder = tmp_path_factory.mktemp("world")
    build_world(folder, model)
    return folder


@pytest.fixture(scope="module")
def known(world: Path) -> dict[str, int]:
    """What is in the folder before the first row, and must be there after each."""
    return dict(contents(world))


@pytest.fixture
def here(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(world)
    return world


@pytest.fixture(autouse=True, scope="module")
def _one_parser() -> Iterator[None]:
    """Build the parser once, which takes longer than most rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("anomalib_adaptclip_cli.main.build_parser", cache(build_parser))
        yield


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Backbones whose CLIP was built."""
    names: list[str] = []

    def load(name: str, pretrained: str | Path | None = None) -> LoadedClip:
        names.append(name)
        return load_clip(name, pretrained)

    for module in ("clip", "model.lightning_model", "training.lightning_model"):
        monkeypatch.setattr(f"anomalib_adaptclip.{module}.load_clip", load)
    return names


def contents(folder: Path | str) -> Iterator[tuple[str, int]]:
    """Names and sizes of all files but locks, which stay where others may wait for them."""
    for entry in os.scandir(folder):  # a row takes less time than listing by pathlib
        if entry.is_dir(follow_symlinks=False):
            yield entry.path, 0
            yield from contents(entry.path)
        elif not entry.name.endswith(".lock") and entry.name != "row.yaml":
            yield entry.path, entry.stat(follow_symlinks=False).st_size


def message_of(row: Row, model: AdaptCLIP, capsys: pytest.CaptureFixture[str]) -> str:
    """Run a row, and return what is said."""
    if row.table == "commands":
        with pytest.raises(SystemExit) as ended:
            calls.run_command(row.call)
        assert ended.value.code == 2
        message = capsys.readouterr().err
        assert message.startswith(f"{calls.NAME}: ")
        assert message.endswith("\n")
        return message.removeprefix(f"{calls.NAME}: ").removesuffix("\n")
    run: Any = {"sweeps": calls.run_sweep, "constructors": calls.run_function, "files": calls.run_file}[row.table]
    with pytest.raises(CLASSES) as caught:
        run(row.call, model)
    return str(caught.value)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.table}-{row.call}"[:80])
@pytest.mark.filterwarnings("ignore")
def test_what_is_said(
    row: Row,
    here: Path,
    known: dict[str, int],
    model: AdaptCLIP,
    loaded: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    start = time.process_time()
    message = message_of(row, model, capsys)
    assert time.process_time() - start < SECONDS
    assert "\n" not in message
    assert len(message) < LONGEST
    assert row.matches(message), f"expected: {row.message}\ngot: {message}"
    assert bool(loaded) <= row.needs_clip, "a CLIP was built before the error came"
    assert dict(contents(here)) == known, "something was left behind"


def test_there_are_many_and_each_is_there_once() -> None:
    assert len(ROWS) >= 500
    assert len({(row.table, row.call) for row in ROWS}) == len(ROWS)


@pytest.mark.usefixtures("here")
def test_nothing_is_left_out(model: AdaptCLIP) -> None:
    """Each subcommand, each public class, each function that the tables know, and each kind of file."""
    called = {table: {row.called for row in ROWS if row.table == table} for table in TABLES}
    assert {*COMMANDS} <= called["commands"]
    assert {*anomalib_adaptclip.__all__} - {"__version__"} <= called["constructors"]
    assert called["constructors"] == {*calls.functions(model)}
    assert called["files"] == {*calls.readers(model)}
