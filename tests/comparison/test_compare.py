# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``compare``: what is run, what is stored, going on after a break, and several processes."""

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anomalib.models.image
import open_clip
import pytest
import torch
from anomalib.data import ImageBatch
from anomalib.models import WinClip
from anomalib.models.components import AnomalibModule
from lightning.pytorch import LightningModule, Trainer

from anomalib_adaptclip import SyntheticDefects
from anomalib_adaptclip.comparison import (
    METRICS,
    NormalizedWinClip,
    Run,
    RunRow,
    RunTable,
    list_runs,
    read_sweep,
)
from anomalib_adaptclip.comparison import run as run_module
from anomalib_adaptclip.comparison.components import build, is_zero_shot
from anomalib_adaptclip.comparison.executors import in_process, process_pool
from anomalib_adaptclip.comparison.outcome import RunOutcome
from anomalib_adaptclip.comparison.run import execute
from anomalib_adaptclip.comparison.stopwatch import Stopwatch
from anomalib_adaptclip.comparison.winclip import build_small_clip
from anomalib_adaptclip.files.config import ClassSpec
from anomalib_adaptclip.prompts.selection import prompts_from_datamodule

from .command import CONFIGS, SMOKE, WARNINGS, Part, figures, generated, read_runs, run, smoke_models, write_sweep
from .made_up import COLUMNS

MODELS = ("AdaptCLIP", "WinCLIP-untrained", "PatchCore")
pytestmark = [pytest.mark.filterwarnings(text) for text in WARNINGS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the generated data lies, as the working directory: the configuration names it relatively."""
    folder, before = tmp_path_factory.mktemp("compare"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


@pytest.fixture(scope="module")
def done(folder: Path) -> tuple[int, str]:
    """The smoke sweep as it stands."""
    return run(SMOKE, folder / "done")


class TestSmoke:
    def test_all_runs_succeed(self, done: tuple[int, str], folder: Path) -> None:
        rows = read_runs(folder / "done" / "runs.csv")
        assert done[0] == 0
        assert [row.error for row in rows] == [""] * 32
        assert "32 of 32 runs are finished, 0 failed." in done[1]
        assert len(done[1].splitlines()) == 2  # the progress bar, and that
        for row in rows:
            assert all(0 <= float(getattr(row, name)) <= 1 for name in METRICS)
            assert (row.images or 0) >= 4
            assert "anomalib=2." in row.versions
            assert (row.test_seconds or 0) > 0
            assert row.image_seconds is None  # there is one batch
            assert row.categories == '["marble", "capsule"]'

    def test_all_models_see_the_images_of_the_published_draw(self, done: tuple[int, str], folder: Path) -> None:
        del done
        rows = read_runs(folder / "done" / "runs.csv")
        for category in ("marble", "capsule"):
            data = SyntheticDefects(
                "datasets/smoke", category, image_size=64, num_train_images=6, num_normal_test_images=3,
                num_images_per_defect=1,
            )  # fmt: skip
            data.setup()
            for seed in (10, 20):
                own = [row for row in rows if (row.category, row.seed, row.shots) == (category, seed, "2")]
                files = prompts_from_datamodule(data, 2, seed)
                drawn = json.dumps([Path(file).relative_to(folder / "datasets/smoke").as_posix() for file in files])
                assert [(row.model, row.prompts) for row in own] == [(model, drawn) for model in MODELS]

    def test_zero_shot_has_one_seed(self, done: tuple[int, str], folder: Path) -> None:
        del done
        rows = read_runs(folder / "done" / "runs.csv")
        assert [(row.seed, row.prompts) for row in rows if row.shots == "0"] == [(10, "[]")] * 4

    def test_finished_runs_are_not_run_again(
        self, done: tuple[int, str], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del done
        before = (folder / "done" / "runs.csv").read_bytes()
        monkeypatch.setattr(in_process, "execute", None)
        assert run(SMOKE, folder / "done")[0] == 0
        assert (folder / "done" / "runs.csv").read_bytes() == before

    def test_two_processes_find_the_same_figures(self, done: tuple[int, str], folder: Path) -> None:
        del done
        assert run(SMOKE, folder / "two", "--workers", "2")[0] == 0
        assert figures(folder / "two") == figures(folder / "done")
        pictures = {path.name: path.read_bytes() for path in (folder / "two" / "gallery").iterdir()}
        assert pictures == {path.name: path.read_bytes() for path in (folder / "done" / "gallery").iterdir()}
        assert len(pictures) == 8  # of each model on each category
        curves = {path.name: path.read_bytes() for path in (folder / "two" / "curves").iterdir()}
        assert curves == {path.name: path.read_bytes() for path in (folder / "done" / "curves").iterdir()}
        assert len(curves) == 32


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Runs that are made, in place of models, with figures that tell them apart."""
    made: list[str] = []

    def fit_and_test(run: Run, *_: Any) -> dict[str, Any]:
        made.append(run.configuration)
        return {"image_AUROC": len(made) / 100}

    monkeypatch.setattr(run_module, "fit_and_test", fit_and_test)
    return made


class TestGoingOn:
    def test_after_a_break(
        self, folder: Path, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del folder
        usual = run_module.fit_and_test

        def broken_off(run: Run, *rest: Any) -> dict[str, Any]:
            if len(calls) == 5:
                raise KeyboardInterrupt
            return usual(run, *rest)

        monkeypatch.setattr(run_module, "fit_and_test", broken_off)
        with pytest.raises(SystemExit, match="130"):
            run(SMOKE, tmp_path)
        assert [row.image_AUROC for row in read_runs(tmp_path / "runs.csv")] == [n / 100 for n in range(1, 6)]
        monkeypatch.setattr(run_module, "fit_and_test", usual)
        assert run(SMOKE, tmp_path)[0] == 0
        assert len(calls) == len(set(calls)) == 32
        assert [row.configuration for row in read_runs(tmp_path / "runs.csv")] == calls
        assert sorted(path.name for path in tmp_path.iterdir()) == ["runs.csv"]

    def test_a_failing_run_is_recorded_and_tried_again(
        self, folder: Path, tmp_path: Path, calls: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del folder
        usual = run_module.fit_and_test

        def failing(run: Run, *rest: Any) -> dict[str, Any]:
            if (run.model, run.category, run.seed, run.shots) == ("PatchCore", "marble", 20, 2):
                msg = "no memory"
                raise RuntimeError(msg)
            return usual(run, *rest)

        monkeypatch.setattr(run_module, "fit_and_test", failing)
        code, printed = run(SMOKE, tmp_path)
        rows = read_runs(tmp_path / "runs.csv")
        assert code == 1
        assert "PatchCore on generated marble, 2 shots, seed 20 failed: RuntimeError: no memory" in printed
        assert "31 of 32 runs are finished, 1 failed." in printed
        [row] = [row for row in rows if row.error]
        assert (row.error, row.image_AUROC, row.seed) == ("RuntimeError: no memory", None, 20)
        monkeypatch.setattr(run_module, "fit_and_test", usual)
        assert run(SMOKE, tmp_path)[0] == 0
        assert len(calls) == 32
        assert [row.error for row in read_runs(tmp_path / "runs.csv")] == [""] * 32

    def test_however_many_runs_fail_few_lines_are_printed(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        del folder

        def failing(run: Run, *_: Any) -> dict[str, Any]:
            raise RuntimeError(f"no memory for {run}\n" * 100)

        monkeypatch.setattr(run_module, "fit_and_test", failing)
        code, printed = run(SMOKE, tmp_path)
        lines = [line for line in printed.splitlines() if line.strip()]
        assert code == 1
        assert len(lines) <= 25
        assert max(map(len, lines)) < 500
        assert sum("failed: RuntimeError: no memory for" in line for line in lines) == 10
        assert f"22 more runs failed. The column error of {tmp_path / 'runs.csv'} says why." in lines
        assert [len(row.error) > 4000 for row in read_runs(tmp_path / "runs.csv")] == [True] * 32

    def test_another_configuration_runs_anew_and_the_first_is_kept(
        self, folder: Path, tmp_path: Path, calls: list[str]
    ) -> None:
        del folder
        run(SMOKE, tmp_path / "results")
        other = tmp_path / "other.yaml"
        other.write_text(SMOKE.read_text().replace("image_size: 112", "image_size: 56"))
        run(other, tmp_path / "results")
        assert len(calls) == 42  # AdaptCLIP's ten again
        assert len(read_runs(tmp_path / "results" / "runs.csv")) == 42


def killed(connection: Any, accelerator: str, device: int) -> None:
    """A worker that is killed in the middle of a run on gear with the seed 20."""
    del accelerator, device
    with contextlib.suppress(EOFError):
        while True:
            run = connection.recv()
            if (run.category, run.seed) == ("gear", 20):
                os.kill(os.getpid(), signal.SIGKILL)
            connection.send(RunOutcome(run_module.describe(run, image_AUROC=0.5)))


def test_a_killed_worker_costs_its_run_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = generated(tmp_path / "data", "marble", "gear")
    short = write_sweep(tmp_path / "short.yaml", smoke_models({"AdaptCLIP": [1]}), data, (10, 20))
    monkeypatch.setattr(process_pool, "_serve", killed)
    code, _ = run(short, tmp_path, "--workers", "2")
    rows = read_runs(tmp_path / "runs.csv")
    assert code == 1
    assert len(rows) == 4
    [failed] = [row for row in rows if row.error]
    assert (failed.category, failed.seed) == ("gear", 20)
    assert failed.error == "The worker ended with exit code -9."


class TestDryRun:
    def test_of_the_paper(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        code, printed = run(CONFIGS / "paper.yaml", tmp_path / "results", "--dry_run")
        assert code == 0
        assert re.search(r"│ PatchCore\s+│ real-iad │ full\s+│ 30\s+│ 10\s+│ 30\s+│ 30\s+│", printed)
        missing = re.findall(r"Missing: (\S+): there is no folder", printed)
        assert missing == [*read_sweep(CONFIGS / "paper.yaml").data_sets]
        assert [*tmp_path.iterdir()] == []

    def test_of_the_fusions(self, tmp_path: Path) -> None:
        code, printed = run(CONFIGS / "fusion.yaml", tmp_path / "results", "--dry_run")
        assert code == 0
        assert re.findall(r"│ (log-odds|published)\s+│ mvtec\s+│ 0\s+│", printed) == ["published", "log-odds"]

    def test_of_few_shot_models(self, tmp_path: Path) -> None:
        """Each of them takes K images, and anomalib knows it."""
        code, printed = run(CONFIGS / "few_shot.yaml", tmp_path / "results", "--dry_run")
        assert code == 0
        models = ["AdaptCLIP", "WinCLIP", "PatchCore", "MH-PatchCore", "AnomalyDINO", "RAD", "SuperADD"]
        assert re.findall(r"│ (\S+)\s+│ visa\s+│ 4\s+│", printed) == models
        assert re.findall(r"│ (\S+)\s+│ visa\s+│ 0\s+│", printed) == ["AdaptCLIP", "WinCLIP", "AnomalyVFM"]

    def test_of_what_is_there(self, done: tuple[int, str], folder: Path) -> None:
        del done
        code, printed = run(SMOKE, folder / "done", "--dry-run")
        assert code == 0
        assert "Missing" not in printed
        assert re.search(r"│ AdaptCLIP\s+│ generated │ 2\s+│ 2\s+│ 10,20 │ 4\s+│ 0\s+│", printed)

    def test_tells_what_lacks_images(self, tmp_path: Path) -> None:
        text = "models: {A: {model: {class_path: AdaptCLIP}, shots: [0]}}\n"
        text += f"data_sets: {{mvtec: {{init_args: {{root: {tmp_path}}}, categories: [bottle]}}}}"
        (tmp_path / "one.yaml").write_text(text)
        assert "Missing: mvtec bottle: " in run(tmp_path / "one.yaml", tmp_path / "results", "--dry_run")[1]

    def test_tells_which_adapters_are_missing(self, tmp_path: Path) -> None:
        text = "models: {A: {model: {class_path: AdaptCLIP, init_args: {adapters: nowhere.pth}}, shots: [0]}}\n"
        (tmp_path / "one.yaml").write_text(text + f"data_sets: {{visa: {{init_args: {{root: {tmp_path / 'no'}}}}}}}")
        printed = run(tmp_path / "one.yaml", tmp_path / "results", "--dry_run")[1]
        assert "Missing: A: there is no adapter file nowhere.pth\n" in printed

    def test_folds_categories_that_lack_the_same(self, tmp_path: Path) -> None:
        text = "models: {A: {model: {class_path: AdaptCLIP}, shots: [0]}}\n"
        (tmp_path / "one.yaml").write_text(text + f"data_sets: {{visa: {{init_args: {{root: {tmp_path}}}}}}}")
        printed = run(tmp_path / "one.yaml", tmp_path / "results", "--dry_run")[1]
        [line] = [line for line in printed.splitlines() if line.startswith("Missing")]
        assert "Missing: visa candle: " in line
        assert line.endswith(
            "The same holds for 11 other categories: capsules; cashew; chewinggum; fryum; macaroni1 ..."
        )


@pytest.fixture
def winclip_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Run]:
    """Both kinds of WinCLIP, two-shot, with a small CLIP."""
    monkeypatch.setattr(open_clip, "create_model_and_transforms", build_small_clip)
    models = "".join(
        f"  {name}: {{model: {{class_path: {path}}}, shots: [{shots}]}}\n"
        for name, path, shots in (
            ("paper", "anomalib_adaptclip.comparison.NormalizedWinClip", "0, 2"),
            ("anomalib", "anomalib.models.WinClip", "0, 2"),
        )
    )
    arguments = f"{{root: {tmp_path}, image_size: 64, num_train_images: 4, num_normal_test_images: 2, "
    arguments += "num_images_per_defect: 1}"
    data = f"  made: {{data: {{class_path: SyntheticDefects, init_args: {arguments}}}, categories: [marble]}}\n"
    (tmp_path / "winclip.yaml").write_text(f"models:\n{models}data_sets:\n{data}seeds: [10]\n")
    return list_runs(read_sweep(tmp_path / "winclip.yaml"))


def test_winclip_with_and_without_normalised_references(
    winclip_runs: list[Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    references: dict[type, torch.Tensor] = {}
    usual = WinClip.setup

    def setup(self: WinClip, stage: str) -> None:
        usual(self, stage)
        if self.k_shot:
            references[type(self)] = torch.as_tensor(self.model.reference_images)

    monkeypatch.setattr(WinClip, "setup", setup)
    rows = [execute(run, "cpu").row for run in winclip_runs]
    assert [row.error for row in rows] == [""] * 4
    zero, two, anomalib_zero, anomalib_two = ([getattr(row, name) for name in METRICS] for row in rows)
    assert zero == anomalib_zero
    assert two != anomalib_two
    assert rows[1].prompts == rows[3].prompts != "[]"
    raw, normalized = references[WinClip], references[NormalizedWinClip]
    assert raw.shape == normalized.shape == (2, 3, 240, 240)
    assert raw.min() > -0.2  # bicubic resizing goes a little beyond [0, 1]
    transform: Any = WinClip.configure_pre_processor().transform
    torch.testing.assert_close(sorted(transform(raw).sum((1, 2, 3))), sorted(normalized.sum((1, 2, 3))))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "[marble, capsule]",
            "[marbel]",
            r"generated has no categories \['marbel'\], and .* Choose among .*gear, hex_nut",
        ),
        ("[marble, capsule]", "marble", r"line \d+: data_sets\.generated\.categories must be a list .* got 'marble'"),
        ("shots: [1, 2]", "shots: 1", r"line \d+: models\.PatchCore\.shots must be a list \(\[a, b\]\), got 1\."),
        (
            "shots: [1, 2]",
            "shots: [some]",
            r"line \d+: models\.PatchCore\.shots must be numbers from 0, or full, got 'some'",
        ),
        ("seeds: [10, 20]", "seeds: 10", r"line \d+: seeds must be a list \(\[a, b\]\), got 10\."),
        (
            "shots: [1, 2]",
            "shots: [0, 2]",
            r"cannot have the shots \[0, 2\]. It takes a list of numbers from 1, or full.",
        ),
        (
            "shots: [0, 1, 2]",
            "shots: [full]",
            r"AdaptCLIP cannot have the shots \['full'\]. It takes a list of numbers from 0.",
        ),
        (
            "class_path: Patchcore",
            "class_path: Patchwork",
            "is not an AnomalibModule that can be built: Expected a dot",
        ),
        ("backbone: tiny", "backbones: tiny", "can be built: Problem .* Option 'backbones' is not accepted\n"),
        ("class_path: SyntheticDefects", "class_path: Defects", "is not an AnomalibDataModule that can be built"),
        ("models:", "model:", r"line 5: model is not a known key.* models, data_sets, seeds, gallery\."),
        (
            "    shots: [1, 2]",
            "    shoots: [1, 2]",
            r"line 31: models\.PatchCore\.shoots is not a known key.* shots, trainer\.",
        ),
        ("    shots: [1, 2]", "", r"line 17: models\.PatchCore\.shots must be given\."),
        ("shots: [1, 2]", "shots: [1, 2", r"wrong\.yaml, line \d+, column \d+: this should be YAML: "),
        ("seeds: [10, 20]", "seeds: [10, 10]", "seeds names something twice"),
        ("seeds: [10, 20]", "seeds: [-1]", "seeds must be from 0 to 4294967295, got -1"),
        ("shots: [1, 2]", "shots: [1, 1]", r"models\.PatchCore\.shots names something twice, got \[1, 1\]"),
        ("[marble, capsule]", "[capsule, capsule]", r"data_sets\.generated\.categories names something twice"),
        ("[marble, capsule]", "[]", r"data_sets\.generated\.categories is empty\. .* leave the key out for all"),
        ("[marble, capsule]", "[01]", r"line \d+: data_sets\.generated\.categories\[0\] is '01', a number .* quotes"),
        ("[marble, capsule]", "[1]", r"generated\.categories\[0\] must be text, got 1\. Put quotes around it"),
        ("    categories:", "    pixel_size: 0\n    categories:", r"generated\.pixel_size must be at least 1, got 0"),
        (
            "image_size: 64",
            "image_size: 64\n        category: capsule",
            "init_args must not have a category, .* `categories: ",
        ),
        ("backbone: tiny", "backbone: tiny\n        k_shot: 4", "AdaptCLIP has the init_args .*k_shot.* `shots`"),
        ("backbone: tiny", "backbone: tiny\n        seed: 4", "AdaptCLIP has the init_args .*seed.* `seeds`"),
        (
            "root: datasets/smoke",
            "root: ${oc.env:NO_SUCH_DATA}",
            "init_args.root needs the environment .* NO_SUCH_DATA",
        ),
        ("seeds: [10, 20]", "seeds: []", r"1 data sets and the seeds \[\]. Give some"),
        (
            "data_sets:\n  generated:",
            "data_sets:\n  nothing: {}\n  generated:",
            r"line \d+: data_sets\.nothing is not a data set of the paper",
        ),
    ],
)
def test_wrong_files_end_the_command_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, message: str
) -> None:
    assert old in SMOKE.read_text()
    (tmp_path / "wrong.yaml").write_text(SMOKE.read_text().replace(old, new))
    with pytest.raises(SystemExit) as ended:
        run(tmp_path / "wrong.yaml", tmp_path / "results")
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)


def test_overrides_win_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMOKE", str(tmp_path))
    overrides = [
        "seeds=[7]",
        "models.PatchCore.shots=[]",
        "models.AdaptCLIP.shots=[1]",
        "models.WinCLIP-untrained.shots=[]",
        "models.RAD-untrained.shots=[]",
    ]
    root = "data_sets.generated.data.init_args.root=${oc.env:SMOKE}/data"
    runs = list_runs(read_sweep(SMOKE, [*overrides, root]))
    assert [(run.model, run.category, run.shots, run.seed) for run in runs] == [
        ("AdaptCLIP", "marble", 1, 7),
        ("AdaptCLIP", "capsule", 1, 7),
    ]
    assert {run.data_spec.init_args["root"] for run in runs} == {f"{tmp_path}/data"}
    assert {run.data_spec.init_args["image_size"] for run in runs} == {64}


def test_a_wrong_override_is_named() -> None:
    with pytest.raises(ValueError, match=r"smoke\.yaml, override 'seeds=ten': seeds must be a list"):
        read_sweep(SMOKE, ["seeds=ten"])


def test_a_sweep_without_runs_is_refused() -> None:
    names = (*MODELS, "RAD-untrained")
    with pytest.raises(ValueError, match=r"4 models with the shots \[(\[\](, )?){4}\], 1 data sets .* Give some"):
        read_sweep(SMOKE, [f"models.{name}.shots=[]" for name in names])


def test_categories_of_a_data_set_that_has_none_are_refused(tmp_path: Path) -> None:
    sweep = write_sweep(
        tmp_path / "sweep.yaml", smoke_models({"AdaptCLIP": [0]}), {"kvasir": {"categories": ["polyp"]}}
    )
    with pytest.raises(ValueError, match=r"kvasir has no categories, got \['polyp'\]"):
        list_runs(read_sweep(sweep))


def test_the_configuration_of_a_run_holds_class_and_arguments() -> None:
    run = Run(
        "A", "tiles", "", 0, 10, ClassSpec("A", {"k": 1}), ClassSpec("B", {"num_workers": 2, "root": "x"}), {}, None
    )
    parts = json.loads(run.configuration)
    assert parts["model_spec"] == {"class_path": "A", "init_args": {"k": 1}}
    assert parts["data_spec"] == {"class_path": "B", "init_args": {"root": "x"}}  # no figure depends on workers


@pytest.mark.parametrize(("shots", "words"), [(0, "zero-shot"), (1, "1 shot"), (2, "2 shots"), ("full", "full")])
def test_runs_are_named_in_plain_words(shots: Any, words: str) -> None:
    named = Run("A", "tiles", "", shots, 10, ClassSpec("A"), ClassSpec("B"), {}, None)
    assert str(named) == f"A on tiles, {words}"


def test_the_stopwatch_starts_behind_the_first_batch() -> None:
    times = iter([10.0, 12.0, 15.0])
    stopwatch = Stopwatch(lambda: next(times))
    for count in (4, 4, 1):
        batch = ImageBatch(torch.zeros(count, 3, 8, 8), gt_label=torch.zeros(count, dtype=torch.bool))
        stopwatch.on_test_batch_end(Trainer(logger=False), LightningModule(), None, batch, 0)
    assert (stopwatch.seconds, stopwatch.images) == (5, 5)


@pytest.mark.parametrize("options", [(), ("--dry_run",)])
def test_an_output_that_is_a_file_is_refused(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "p1.csv").write_text("x")
    with pytest.raises(SystemExit):
        run(SMOKE, tmp_path / "p1.csv", *options)
    assert "p1.csv is a file, and runs.csv needs a folder." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backbone": "tiny", "adapters": "nowhere.safetensors"}, r"There is no adapter file nowhere\.safetensors\."),
        ({"backbone": "tiny", "image_size": "big"}, r"image_size is big\. Expected a <class 'int'>"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_line(arguments: Part, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        build(AnomalibModule, ClassSpec("AdaptCLIP", arguments))  # type: ignore[type-abstract]
    assert not re.search(r"\n|Union subtypes|Namespace", str(caught.value))


@pytest.mark.parametrize("text", ["a,b\n1,2\n", ",".join(COLUMNS) + "\n1,2\n"])
def test_other_files_are_not_written_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "runs.csv").write_text(text)
    with pytest.raises(ValueError, match="is not a table of runs"):
        RunTable(tmp_path / "runs.csv", RunRow).store(RunRow("A", "tiles", "", "0", 10))
    assert (tmp_path / "runs.csv").read_text() == text


def test_any_model_of_anomalib_with_arguments_for_the_trainer(tmp_path: Path) -> None:
    arguments = {"backbone": "resnet18", "layers": ["layer1"], "pre_trained": False, "n_features": 20}
    model = {"class_path": "Padim", "init_args": arguments}
    models = {"PaDiM": {"model": model, "shots": ["full"], "trainer": {"limit_test_batches": 1}}}
    data = generated(tmp_path / "data", "marble")
    data["generated"]["init_args"] = {"eval_batch_size": 3}
    assert run(write_sweep(tmp_path / "sweep.yaml", models, data), tmp_path)[0] == 0
    [row] = read_runs(tmp_path / "runs.csv")
    assert (row.model, row.shots, row.prompts, row.images) == ("PaDiM", "full", "[]", 3)


ZERO_SHOT = {"class_path": "tests.comparison.stand_ins.ZeroShotWinClip"}


def test_a_model_without_shots_runs_once_and_is_not_fitted(tmp_path: Path) -> None:
    models = {"Z": {"model": ZERO_SHOT, "shots": [0]}}
    sweep = write_sweep(tmp_path / "zero.yaml", models, generated(tmp_path / "data", "marble"), (10, 20))
    assert run(sweep, tmp_path)[0] == 0
    [row] = read_runs(tmp_path / "runs.csv")
    assert (row.shots, row.seed, row.prompts, row.error) == ("0", 10, "[]", "")
    assert row.pixel_AP is not None


@pytest.mark.parametrize("shots", [[1], [0, 1], ["full"]])
def test_a_model_without_shots_takes_no_others(tmp_path: Path, shots: list[int | str]) -> None:
    sweep = write_sweep(
        tmp_path / "zero.yaml", {"Z": {"model": ZERO_SHOT, "shots": shots}}, generated(tmp_path / "data", "marble")
    )
    with pytest.raises(
        ValueError, match=r"Z cannot have the shots .*\. It takes \[0\], for it sees no normal images\."
    ):
        list_runs(read_sweep(sweep))


def test_which_models_of_anomalib_see_no_normal_images() -> None:
    found = {name for name in anomalib.models.image.__all__ if is_zero_shot(getattr(anomalib.models.image, name))}
    assert found == {"AnomalyVFM"}
