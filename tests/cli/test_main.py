# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What arguments mean, and how the command ends."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from anomalib_adaptclip_cli.main import main
from anomalib_adaptclip_cli.parser import build_parser, normalize

COMPARE = ["compare", "--config", "x.yaml"]


def parse(*arguments: str) -> dict[str, Any]:
    given = normalize(arguments)
    found: dict[str, Any] = build_parser().parse_args(given)[given[0]].as_dict()
    return found


@pytest.mark.parametrize(
    ("arguments", "value"),
    [([], False), (["--resume"], True), (["--resume", "true"], True), (["--resume=false"], False)],
)
def test_the_value_of_a_flag_may_be_left_out(arguments: list[str], value: bool) -> None:
    assert parse("predict", "images", "table.csv", *arguments)["resume"] is value
    assert parse("predict", *arguments, *(["true"] if arguments == ["--resume"] else []), "a", "b")["results"] == Path(
        "b"
    )


def test_hyphens_are_underscores_in_names_and_not_in_values() -> None:
    assert parse(*COMPARE, "--dry-run")["dry_run"] is True
    assert parse(*COMPARE, "--ray-address=a-b")["ray_address"] == "a-b"
    assert parse(*COMPARE, "--output", "a-b")["output"] == Path("a-b")


@pytest.mark.parametrize("options", [[], ["--dry_run"], ["--workers", "2"], ["--workers=2"]])
@pytest.mark.parametrize("overrides", [[], ["seeds=[10]"], ["seeds=[10]", "data_sets.visa.init_args.root=/data"]])
def test_overrides_stand_behind_the_options(options: list[str], overrides: list[str]) -> None:
    """Also behind a flag, whose value none of them is."""
    found = parse(*COMPARE, *options, *overrides)
    assert found.get("overrides", []) == overrides
    assert found["config"] == Path("x.yaml")
    assert found["dry_run"] is ("--dry_run" in options)


def test_what_stands_behind_two_dashes_is_left_as_it_is() -> None:
    assert parse("bank-remove", "--", "--my-bank", "--a-b=c-d") == {"bank": Path("--my-bank"), "name": "--a-b=c-d"}
    assert normalize(["report", "--dry-run", "--", "--dry-run"]) == ["report", "--dry_run", "--", "--dry-run"]


@pytest.mark.parametrize("before", [[], ["seeds=[10]"]])
def test_overrides_may_stand_behind_two_dashes(before: list[str]) -> None:
    found = parse(*COMPARE, "--dry-run", *before, "--", "a-b=c-d")
    assert (found["overrides"], found["dry_run"]) == ([*before, "a-b=c-d"], True)


def test_overrides_are_for_comparisons_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["report", "results", "seeds=[10]"])
    assert ended.value.code == 2
    assert "seeds=[10]" in capsys.readouterr().err


@pytest.mark.parametrize("overrides", [[], ["seeds=[10]", "gallery=false"]])
def test_overrides_reach_the_sweep(
    overrides: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def read_sweep(path: Path, overrides: object = ()) -> None:
        msg = f"{path} with {overrides}"
        raise ValueError(msg)

    monkeypatch.setattr("anomalib_adaptclip.comparison.read_sweep", read_sweep)
    with pytest.raises(SystemExit) as ended:
        main([*COMPARE, *overrides])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"anomalib-adaptclip: x.yaml with {overrides or ()}\n"


def test_only_what_is_given_reaches_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A checkpoint has values of its own, against which defaults would win."""
    (tmp_path / "image.png").touch()

    def from_checkpoint(path: Path, device: str, runtime: str, **options: object) -> None:
        msg = f"{path} {device} {runtime} {options}"
        raise ValueError(msg)

    monkeypatch.setattr("anomalib_adaptclip.AdaptCLIPPredictor.from_checkpoint", from_checkpoint)
    with pytest.raises(SystemExit):
        main(["predict", str(tmp_path), str(tmp_path / "a.csv"), "--ckpt_path", "model.ckpt", "--seed", "10"])
    assert capsys.readouterr().err == "anomalib-adaptclip: model.ckpt cpu torch {'seed': 10}\n"


def test_a_wrong_file_is_one_line(tmp_path: Path) -> None:
    """Nothing is said of what importing the hosts warns of."""
    command = [sys.executable, "-m", "anomalib_adaptclip_cli.main", "report", str(tmp_path / "nowhere")]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert finished.stdout == ""
    [line] = finished.stderr.splitlines()
    assert line.startswith("anomalib-adaptclip: ")
    assert "nowhere" in line
