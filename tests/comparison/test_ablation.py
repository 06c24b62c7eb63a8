# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The rows of Table 5 by one command: what is trained, what is printed, and going on after a break."""

import contextlib
import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from anomalib.cli.cli import AnomalibCLI

from anomalib_adaptclip import AdaptCLIPTraining, QueryPromptDataModule
from anomalib_adaptclip.adapters.adapter_file import read_adapter_file
from anomalib_adaptclip.comparison import ablation
from anomalib_adaptclip_cli.main import main

FILES = sorted(ablation.find_configs().rglob("*.yaml"))
FEW = json.dumps({"image_size": 64, "num_train_images": 2, "num_normal_test_images": 2, "num_images_per_defect": 1})
DATA = {
    "base": "SyntheticDefects",
    "base_categories": "[gear]",
    "base_args": FEW,
    "target": "SyntheticDefects",
    "target_categories": "[wood]",
    "target_args": FEW,
    "num_workers": "0",
}
SMALL = {"backbone": "tiny", "pretrained": "seed-0", "image_size": "56"}
TABLE_5 = """
0 | clip            | 0 | ✗ | ✗ | ✗
1 | textual         | 0 | ✓ | ✗ | ✗
2 | visual          | 0 | ✗ | ✓ | ✗
3 | joint           | 0 | ✓ | ✓ | ✗
4 | alternating     | 0 | ✓ | ✓ | ✗
5 | without_context | 1 | ✗ | ✗ | ✓
6 | with_context    | 1 | ✗ | ✗ | ✓
7 | adaptclip       | 1 | ✓ | ✓ | ✓
"""
EXPECTED = [[cell.strip() for cell in line.split("|")] for line in TABLE_5.strip().splitlines()]

Options = dict[str, str]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def run(root: Path, output: Path, **options: str) -> tuple[int, str]:
    """The command: its exit code, and what it prints."""
    cpu = {"epochs": "1", "accelerator": "cpu", "output": str(output), "base_root": str(root)}
    arguments = [part for name, value in (DATA | SMALL | cpu | options).items() for part in (f"--{name}", value)]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main(["ablation", *arguments])
    return code, printed.getvalue()


def stored(output: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((output / "ablation.csv").read_text().splitlines()))


def cells(printed: str) -> list[list[str]]:
    """Rows of the table as it was printed, behind what Lightning prints."""
    table = printed.rsplit("in percent", maxsplit=1)[-1]
    lines = [line for line in table.splitlines() if line.startswith("│")]
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def done(root: Path, output: Path) -> tuple[int, str]:
    """All rows, trained and tested once."""
    return run(root, output, cache_dir=str(output / "tokens"))


class TestAllRows:
    def test_the_table_is_that_of_the_paper(self, done: tuple[int, str]) -> None:
        code, printed = done
        assert code == 0
        assert [row[:6] for row in cells(printed)] == EXPECTED

    def test_the_figures_printed_are_those_stored(self, done: tuple[int, str], output: Path) -> None:
        figures = [(float(row["image_AUROC"]), float(row["pixel_AUPR"])) for row in stored(output)]
        assert [row[6] for row in cells(done[1])] == [
            f"{100 * auroc:.1f} / {100 * aupr:.1f}" for auroc, aupr in figures
        ]
        assert all(0 <= auroc <= 1 and 0 < aupr <= 1 for auroc, aupr in figures)
        assert len(set(figures)) > 4

    def test_each_row_trains_what_it_says(self, done: tuple[int, str], output: Path) -> None:
        del done
        for row in stored(output)[1:]:
            [path] = (output / f"{row['number']}_{row['method']}").rglob("v0/**/adapters.safetensors")
            file, on = (
                read_adapter_file(path),
                {name for name in ("textual", "visual", "prompt_query") if row[name] == "True"},
            )
            assert set(file.adapters) == on
            assert file.header.mode == ("joint" if row["method"] == "joint" else "alternating")
            assert file.header.context == (row["method"] != "without_context")
            assert file.header.epochs == 1

    def test_plain_clip_is_not_trained(self, done: tuple[int, str], output: Path) -> None:
        del done
        assert not list((output / "0_clip").rglob("*.safetensors"))

    def test_the_rows_share_the_tokens(self, done: tuple[int, str], output: Path) -> None:
        """As many files as there are images: two prompts, two normal queries and the defects, of both categories."""
        del done
        datamodule = QueryPromptDataModule(
            "SyntheticDefects", output.parent / "other", ["gear"], json.loads(FEW), "SyntheticDefects",
            target_categories=["wood"], target_args=json.loads(FEW), num_workers=0,
        )  # fmt: skip
        datamodule.prepare_data()
        datamodule.setup()
        assert len(list((output / "tokens").rglob("*.safetensors"))) == len(datamodule.image_files())

    def test_finished_rows_are_not_run_again(
        self, done: tuple[int, str], root: Path, output: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(ablation, "run_row", None)
        code, printed = run(root, output)
        assert (code, cells(printed)) == (0, cells(done[1]))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows that are run, in place of training, with figures that tell them apart."""
    made: list[int] = []

    def run_row(row: ablation.Row, *_: Any, **__: Any) -> dict[str, float]:
        made.append(row.number)
        return {"image_AUROC": row.number / 10, "pixel_AUPR": row.number / 100}

    monkeypatch.setattr(ablation, "run_row", run_row)
    return made


class TestGoingOn:
    def test_with_the_row_that_was_broken_off(
        self, root: Path, tmp_path: Path, calls: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usual = ablation.run_row

        def broken_off(row: ablation.Row, *_: Any, **__: Any) -> dict[str, float]:
            if row.number == 3:
                raise KeyboardInterrupt
            return usual(row, *_, **__)

        monkeypatch.setattr(ablation, "run_row", broken_off)
        with pytest.raises(SystemExit, match="130"):
            run(root, tmp_path)
        assert [row["number"] for row in stored(tmp_path)] == ["0", "1", "2"]
        monkeypatch.setattr(ablation, "run_row", usual)
        code, printed = run(root, tmp_path)
        assert (code, calls) == (0, [*range(8)])
        assert [row[6] for row in cells(printed)] == [f"{10 * n:.1f} / {n:.1f}" for n in range(8)]

    @pytest.mark.parametrize(
        "change",
        [
            {"epochs": "2"},
            {"image_size": "70"},
            {"precision": "bf16-mixed"},
            {"seed": "11"},
            {"base_categories": "[carpet]"},
        ],
    )
    def test_another_configuration_runs_anew_and_the_first_is_kept(
        self, root: Path, tmp_path: Path, calls: list[int], change: Options
    ) -> None:
        run(root, tmp_path, rows="0,7")
        run(root, tmp_path, rows="0,7", **change)
        assert calls == [0, 7, 0, 7]
        run(root, tmp_path, rows="0,7")
        assert calls == [0, 7, 0, 7]
        assert [row["number"] for row in stored(tmp_path)] == ["0", "0", "7", "7"]

    def test_where_tokens_are_kept_matters_not(self, root: Path, tmp_path: Path, calls: list[int]) -> None:
        run(root, tmp_path, rows="4")
        run(root, tmp_path, rows="4", cache_dir=str(tmp_path), num_workers="1")
        assert calls == [4]

    def test_a_failed_row_is_tried_again(self, root: Path, tmp_path: Path, calls: list[int]) -> None:
        run(root, tmp_path, rows="4")
        table = ablation.ablation_table(tmp_path)
        [row] = table.rows()
        assert (row.number, row.method, row.textual, row.prompt_query) == (4, "alternating", True, False)
        table.store(replace(row, image_AUROC=None, pixel_AUPR=None, error="OSError: full"))
        run(root, tmp_path, rows="4")
        assert calls == [4, 4]
        assert [row["error"] for row in stored(tmp_path)] == [""]

    def test_no_draft_is_left(self, root: Path, tmp_path: Path, calls: list[int]) -> None:
        run(root, tmp_path, rows="1,2")
        assert calls
        assert [path.name for path in tmp_path.iterdir()] == ["ablation.csv"]


def write_rows(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, arguments in files.items():
        model = f"model:\n  class_path: AdaptCLIPTraining\n  init_args: {{{arguments}}}\n"
        (folder / f"{name.removeprefix('row')}.yaml").write_text(model)
    return folder


def test_a_failing_row_is_reported_and_the_others_run(root: Path, tmp_path: Path) -> None:
    configs = write_rows(
        tmp_path / "rows", row1_alone="mode: joint, adapter_names: [visual]", row2_clip="adapter_names: []"
    )
    code, printed = run(root, tmp_path, configs=str(configs))
    assert code == 1
    message = "Joint learning needs the visual and the textual adapter; got ['visual']. Add them, or alternate."
    assert f"Row 1 failed: ValueError: {message}" in printed
    assert [row[6] == "failed" for row in cells(printed)] == [True, False]
    assert [row["error"] for row in stored(tmp_path)] == [f"ValueError: {message}", ""]
    assert [bool(row["image_AUROC"]) for row in stored(tmp_path)] == [False, True]


def test_without_normal_images_of_the_target_there_are_no_one_shot_figures(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QueryPromptDataModule, "target_prompts", lambda *_: {})
    code, printed = run(root, tmp_path, rows="0,6")
    assert code == 1
    assert "Row 6 failed: ValueError: No 1-shot figures on SyntheticDefects-SyntheticDefects" in printed
    assert [bool(row["image_AUROC"]) for row in stored(tmp_path)] == [True, False]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": "4,9"}, r"holds the rows \[0, 1, 2, 3, 4, 5, 6, 7\], expected \[9\] as well"),
        ({"rows": "four"}, "rows must be numbers separated by commas, such as 0,4,7; got 'four'"),
        ({"configs": "nowhere"}, r"nowhere holds the rows \[\], expected some as well"),
        ({"base": "Nothing"}, "Nothing"),
        ({"target": "null"}, "Give target, or leave them out"),
    ],
)
def test_wrong_arguments_end_the_command_at_once(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Options, message: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(root, tmp_path, **change)
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: [", r", line 1, column 9: this should be YAML"),
        ("trainer: {max_epochs: 3}", r", line 1: trainer is not a known key\. Expected here: model\."),
        ("{}", r": model must be given\."),
        ("model: {init_args: {}}", r", line 1: model\.class_path must be given\."),
        ("model: {class_path: AdaptCLIP}", " should hold a section `model` for AdaptCLIPTraining and nothing else"),
        (
            "model: {class_path: AdaptCLIPTraining, init_args: {epoch: 1}}",
            " should hold a section `model` for AdaptCLIPTraining and nothing else: .*epoch",
        ),
    ],
)
def test_files_that_are_no_rows(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "1_wrong.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)1_wrong\.yaml{message}"):
        ablation.read_rows(tmp_path)


@pytest.mark.parametrize("other", ["1_b.yaml", "01_b.yaml", "1a_b.yaml"])
def test_each_row_has_a_number_of_its_own(tmp_path: Path, other: str) -> None:
    for name in ("1_z.yaml", other):
        (tmp_path / name).write_text("model: {class_path: AdaptCLIPTraining}")
    with pytest.raises(ValueError, match="should begin with a number of its own, got 1"):
        ablation.read_rows(tmp_path)


def test_a_table_has_one_writer(
    root: Path, tmp_path: Path, calls: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    with ablation.ablation_table(tmp_path).locked(), pytest.raises(SystemExit):
        run(root, tmp_path, rows="0")
    assert f"Another run is writing {tmp_path / 'ablation.csv'}." in capsys.readouterr().err
    assert calls == []


def test_another_table_is_not_overwritten(root: Path, tmp_path: Path, calls: list[int]) -> None:
    (tmp_path / "ablation.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SystemExit):
        run(root, tmp_path)
    assert (calls, (tmp_path / "ablation.csv").read_text()) == ([], "a,b\n1,2\n")


@pytest.fixture
def anomalib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AnomalibCLI]:
    """The `anomalib` command, run inside this process in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: AnomalibCLI([str(arg) for arg in args])


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_each_file_serves_anomalib_too(path: Path, root: Path, anomalib: Callable[..., AnomalibCLI]) -> None:
    """Line 0 is plain CLIP: there is nothing to fit, so it is tested."""
    data = [part for name, value in DATA.items() for part in (f"--data.{name}", value)]
    model = [part for name, value in SMALL.items() for part in (f"--model.init_args.{name}", value)]
    trainer = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.devices", "1"]
    subcommand = "test" if path.stem.startswith("0") else "fit"
    arguments = ["--data", "QueryPromptDataModule", "--data.base_root", root, *data, *model, *trainer]
    done = anomalib(subcommand, "--config", path, *arguments)
    assert isinstance(done.model, AdaptCLIPTraining)
    metrics = done.engine.trainer.callback_metrics
    stage = {"test": "test", "fit": "val"}[subcommand]
    shots = "one_shot" if "prompt_query" in done.model.model.adapters else "zero_shot"
    assert 0 < metrics[f"{stage}_{shots}_pixel_AUPR"] <= 1
