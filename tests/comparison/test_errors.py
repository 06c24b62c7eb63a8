# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Errors of runs: whatever one run raises, the table stays readable and the others are made."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from anomalib_adaptclip.comparison import Run, RunOutcome, RunRow, RunTable, list_runs, read_sweep
from anomalib_adaptclip.comparison import run as run_module
from anomalib_adaptclip.comparison.file_contents import hash_files

from .command import generated, read_runs, run, smoke_models, write_sweep
from .made_up import made_up_row


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    models, data = smoke_models({"PatchCore": [1]}), generated(tmp_path / "data", "marble")
    return write_sweep(tmp_path / "sweep.yaml", models, data, (1, 2))


def fail(monkeypatch: pytest.MonkeyPatch, failure: Callable[[], object]) -> None:
    """Let the first seed fail."""

    def fit_and_test(run: Run, *_: Any) -> dict[str, Any]:
        if run.seed == 1:
            failure()
        return {"image_AUROC": 0.5}

    monkeypatch.setattr(run_module, "fit_and_test", fit_and_test)


def raising(error: BaseException) -> Callable[[], object]:
    def throw() -> None:
        raise error

    return throw


def recurse() -> None:
    recurse()


def stop_like_lightning() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        sys.exit(1)


@pytest.mark.parametrize(
    ("failure", "text"),
    [
        (raising(ValueError("x" * 200_000)), "ValueError: xxx"),
        (raising(ValueError("\ud800\udcff\0")), "ValueError: \\ud800\\udcff\\x00"),
        (raising(SystemExit(3)), "SystemExit: 3"),
        (raising(MemoryError()), "MemoryError: "),
        (raising(GeneratorExit()), "GeneratorExit: "),
        (recurse, "RecursionError: "),
    ],
)
def test_one_run_never_ends_the_others(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[[], object], text: str
) -> None:
    fail(monkeypatch, failure)
    assert run(sweep, tmp_path)[0] == 1
    rows = read_runs(tmp_path / "runs.csv")
    assert rows[0].error.startswith(text)
    assert len(rows[0].error) < 11_000
    assert [(row.seed, row.image_AUROC) for row in rows] == [(1, None), (2, 0.5)]


@pytest.mark.parametrize("failure", [raising(KeyboardInterrupt()), stop_like_lightning])
def test_ctrl_c_ends_the_sweep(
    sweep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Callable[[], object]
) -> None:
    fail(monkeypatch, failure)
    with pytest.raises(SystemExit) as ended:
        run(sweep, tmp_path)
    assert ended.value.code == 130
    assert read_runs(tmp_path / "runs.csv") == []


@pytest.mark.parametrize("argument", ["devices", "strategy", "num_nodes", "accelerator"])
def test_a_run_has_one_device(sweep: Path, argument: str) -> None:
    with pytest.raises(ValueError, match=rf"trainer\.{argument} must not be given: a run has one device"):
        read_sweep(sweep, [f"models.PatchCore.trainer.{argument}=2"])


def test_a_configuration_is_of_what_is_in_the_files(sweep: Path, tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    first = list_runs(read_sweep(sweep))[0]
    spec = replace(first.model_spec, init_args=first.model_spec.init_args | {"adapters": str(path)})
    configurations = [first._replace(model_spec=spec).configuration]
    for content in ("a", "bb"):
        path.write_text(content)
        configurations.append(first._replace(model_spec=spec).configuration)
    assert len({*configurations}) == 3
    assert first._replace(model_spec=spec).configuration == configurations[-1]


def test_a_configuration_is_of_the_normal_images(tmp_path: Path) -> None:
    hashes = []
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text(name)
        hashes.append(hash_files({"few_shot_source": tmp_path, "class_name": str(tmp_path)}))
    assert [{*found} for found in hashes] == [{"few_shot_source"}] * 2
    assert hashes[0] != hashes[1]


def test_pictures_that_cannot_be_written_do_not_cost_the_figures(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gallery").touch()
    table = RunTable(tmp_path / "runs.csv", RunRow)
    table.path.parent.mkdir(exist_ok=True)
    row = RunRow("A", "tiles", "", "0", 10, configuration=made_up_row()["configuration"])
    RunOutcome(row, b"pictures").store(table)
    assert table.rows() == [row]
    assert "The pictures of this run are lost, and its figures kept." in caplog.text
