# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Sweeps that are killed, that meet, or that find a damaged table: nothing is lost, and nothing repeated."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from anomalib_adaptclip.comparison import Run, RunRow, RunTable
from anomalib_adaptclip.comparison import run as run_module

from .command import WARNINGS, generated, read_runs, run, smoke_models, write_sweep

SECONDS = 300

pytestmark = [pytest.mark.filterwarnings(text) for text in WARNINGS]


def start(sweep: Path, output: Path) -> subprocess.Popen[bytes]:
    """The command with two workers, in a process group of its own."""
    options = ["--config", sweep, "--output", output, "--accelerator", "cpu", "--workers", "2"]
    return subprocess.Popen(
        [sys.executable, "-m", "anomalib_adaptclip_cli.main", "compare", *map(str, options)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def test_a_killed_sweep_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "runs.csv"
    models = smoke_models({"WinCLIP-untrained": [1], "PatchCore": [1]})
    sweep = write_sweep(tmp_path / "sweep.yaml", models, generated(tmp_path / "data", "marble"), range(6))
    process = start(sweep, tmp_path)
    try:
        deadline = time.monotonic() + SECONDS
        while len(read_runs(table)) < 2:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with pytest.raises(SystemExit) as ended:
            run(sweep, tmp_path)
        assert ended.value.code == 2
        assert f"Another run is writing {table}." in capsys.readouterr().err
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    before = read_runs(table)
    assert 2 <= len(before) < 12

    process = start(sweep, tmp_path)
    assert process.wait(SECONDS) == 0
    rows = read_runs(table)
    assert rows[: len(before)] == before  # their times included
    assert [row.error for row in rows] == [""] * 12
    assert len({(row.model, row.seed) for row in rows}) == 12


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Seeds of the runs that are made, in place of models."""
    seeds: list[Any] = []

    def fit_and_test(run: Run, *_: Any) -> dict[str, Any]:
        seeds.append(run.seed)
        return {"image_AUROC": 0.5}

    monkeypatch.setattr(run_module, "fit_and_test", fit_and_test)
    return seeds


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    models, data = smoke_models({"PatchCore": [1]}), generated(tmp_path / "data", "marble")
    return write_sweep(tmp_path / "sweep.yaml", models, data, (1, 2, 3))


@pytest.mark.parametrize("lost", [1, 2, 30, "half"])
def test_a_table_that_is_cut_in_a_row_loses_that_row_alone(
    lost: Any, sweep: Path, tmp_path: Path, made: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    table = tmp_path / "runs.csv"
    run(sweep, tmp_path)
    whole, rows = table.read_bytes(), read_runs(table)
    last = whole.rindex(b"PatchCore,")
    table.write_bytes(whole[: (last + len(whole)) // 2] if lost == "half" else whole[:-lost])
    assert run(sweep, tmp_path)[0] == 0
    assert "runs.csv ends in the middle of a row" in caplog.text
    assert made == [1, 2, 3, 3]
    assert read_runs(table)[:2] == rows[:2]
    assert len(read_runs(table)) == 3


def test_what_is_no_table_is_told_before_the_first_run(
    sweep: Path, tmp_path: Path, made: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "runs.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit):
        run(sweep, tmp_path)
    assert "is not a table of runs: its columns are different. Move it away" in capsys.readouterr().err
    assert (tmp_path / "runs.csv").read_text() == "a,b\n1,2\n"
    assert made == []


def test_a_lock_ends_with_its_sweep(tmp_path: Path) -> None:
    table = RunTable(tmp_path / "new" / "runs.csv", RunRow)
    with table.locked(), pytest.raises(ValueError, match="Another run is writing"), table.locked():
        pass
    with table.locked():
        assert table.rows() == []
