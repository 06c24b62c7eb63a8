# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``compare`` on Ray: a real one, on this machine, with few resources."""

import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from anomalib_adaptclip.comparison import runner
from anomalib_adaptclip.comparison.executors import RayCluster, ray_cluster
from anomalib_adaptclip.version import __version__

from .command import WARNINGS, figures, generated, read_runs, run, smoke_models, write_sweep

pytestmark = [
    *(pytest.mark.filterwarnings(text) for text in WARNINGS),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # of Ray, about processes that it stops later
]


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No cluster but that of the test, no reports to others, and workers with as many threads and rights as here."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # this process may import Ray before the command does
    monkeypatch.setenv("OMP_NUM_THREADS", str(torch.get_num_threads()))


def test_the_same_figures_as_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    models = smoke_models({"AdaptCLIP": [0, 1], "WinCLIP-untrained": [1], "PatchCore": [1]})
    sweep = write_sweep(tmp_path / "sweep.yaml", models, generated(Path("data"), "marble"))
    assert run(sweep, tmp_path / "here")[0] == 0
    code, printed = run(sweep, tmp_path / "ray", "--executor", "ray", "--workers", "2")
    assert code == 0
    assert "4 of 4 runs are finished, 0 failed." in printed
    assert figures(tmp_path / "ray") == figures(tmp_path / "here")
    assert [row.error for row in read_runs(tmp_path / "ray" / "runs.csv")] == [""] * 4


def test_a_killed_worker_costs_a_repetition_or_its_run_alone(tmp_path: Path) -> None:
    deadly = {
        f"dies {times}": {
            "model": {
                "class_path": "tests.comparison.stand_ins.DeadlyWinClip",
                "init_args": {"notes": str(tmp_path / f"notes{times}"), "times": times},
            },
            "shots": [0],
        }
        for times in (1, 3)
    }
    models = deadly | smoke_models({"WinCLIP-untrained": [0]})
    sweep = write_sweep(tmp_path / "sweep.yaml", models, generated(tmp_path / "data", "marble"))
    code, printed = run(sweep, tmp_path, "--executor", "ray", "--workers", "2")
    rows = {row.model: row.error for row in read_runs(tmp_path / "runs.csv")}
    assert code == 1
    assert rows.pop("dies 3").startswith("WorkerCrashedError: ")
    assert rows == {"dies 1": "", "WinCLIP-untrained": ""}
    assert "dies 3 on generated marble, zero-shot, seed 10 failed: WorkerCrashedError" in printed

    code, printed = run(sweep, tmp_path, "--executor", "ray")
    assert code == 0
    assert [row.error for row in read_runs(tmp_path / "runs.csv")] == [""] * 3
    assert len([*(tmp_path / "notes3").iterdir()]) == 3


def test_workers_that_cannot_load_the_package_end_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray  # noqa: PLC0415

    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "only_here", ModuleType("only_here"))
        exec("def installed_version():\n    return ''\n", sys.modules["only_here"].__dict__)  # noqa: S102
        patch.setattr(ray_cluster, "installed_version", vars(sys.modules["only_here"])["installed_version"])
        patch.setattr(runner, "_prepare", lambda _: pytest.fail("too late"))
        said = refused(sweep_of_one(tmp_path), tmp_path, capsys, "--executor", "ray")
    assert f"need anomalib-adaptclip {__version__}, but cannot load it: ModuleNotFoundError: No module" in said
    assert not ray.is_initialized()

    with RayCluster(1, "cpu").connect():
        monkeypatch.setattr(ray_cluster, "__version__", "0")
        with pytest.raises(
            ValueError, match=r"have anomalib-adaptclip \S+, this machine has 0\. Install the same version"
        ):
            ray_cluster._require_same_package("cpu")
    assert not ray.is_initialized()


def test_a_ray_that_is_started_here_is_for_this_machine_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process of its own, where the command is the first to import Ray."""
    monkeypatch.delenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER")
    code = "from anomalib_adaptclip.comparison.executors import RayCluster\n"
    code += "with RayCluster(1, 'cpu').connect():\n    import ray\n    [node] = ray.nodes()\n"
    code += "    print(node['NodeManagerAddress'], node['Resources']['CPU'])\nprint(ray.is_initialized())"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["127.0.0.1 1.0", "False"]


@pytest.mark.parametrize(("option", "variable"), [("1.2.3.4:5", None), (None, "1.2.3.4:5"), ("1.2.3.4:5", "9.9.9.9:9")])
def test_the_cluster_may_be_named(
    option: str | None,
    variable: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def init(address: str, **_: Any) -> None:
        msg = f"nobody at {address}"
        raise ConnectionError(msg)

    monkeypatch.setattr("ray.init", init)
    if variable:
        monkeypatch.setenv("RAY_ADDRESS", variable)
    options = ("--ray_address", option) if option else ()
    said = refused(sweep_of_one(tmp_path), tmp_path, capsys, "--executor", "ray", *options)
    assert "There is no usable Ray cluster at 1.2.3.4:5: nobody at 1.2.3.4:5" in said


@pytest.mark.parametrize(
    ("resources", "accelerator", "gpus"),
    [({"GPU": 2.0}, "auto", 1), ({"GPU": 2.0}, "cpu", 0), ({"CPU": 2.0}, "auto", 0)],
)
def test_a_run_takes_a_gpu_where_there_are_some(
    resources: dict[str, float], accelerator: str, gpus: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: resources)
    assert ray_cluster._needs(accelerator) == {"num_cpus": 1, "num_gpus": gpus}


def test_without_ray_the_command_says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_cluster, "find_spec", without("ray"))
    said = refused(tmp_path / "no.yaml", tmp_path, capsys, "--executor", "ray")
    assert "pip install 'anomalib-adaptclip[ray]'" in said


def test_an_address_without_ray_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = refused(tmp_path / "no.yaml", tmp_path, capsys, "--ray_address", "1.2.3.4:5")
    assert "ray_address=1.2.3.4:5 has no effect with executor='processes'" in said


def without(name: str) -> Callable[[str], Any]:
    """``find_spec`` where a package is not installed."""
    return lambda other: None if other == name else find_spec(other)


def sweep_of_one(tmp_path: Path) -> Path:
    models = smoke_models({"WinCLIP-untrained": [0]})
    return write_sweep(tmp_path / "sweep.yaml", models, generated(tmp_path / "data", "marble"))


def refused(config: Path, output: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What the command says when it ends for wrong arguments."""
    with pytest.raises(SystemExit) as ended:
        run(config, output, *options)
    assert ended.value.code == 2
    return capsys.readouterr().err
