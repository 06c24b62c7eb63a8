# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""Wheel and editable installs in new environments, on the real anomalib."""

import subprocess
from pathlib import Path

import pytest

from .environments import REPOSITORY, START_UP_FILES, Environment, finish

# All ways anomalib finds a model or a data module by name, each without importing the plugin by hand.
RESOLVE = """
import sys
assert not any(name.startswith("anomalib") for name in sys.modules)

from anomalib.cli.cli import AnomalibCLI
from contextlib import redirect_stdout, suppress
from io import StringIO
written = StringIO()
with redirect_stdout(written), suppress(SystemExit):
    model = ["--model", "AdaptCLIP", "--model.k_shot", "2"]
    AnomalibCLI(args=["fit", *model, "--data", "SyntheticDefects", "--print_config"])

import anomalib.data, anomalib.models, yaml
from anomalib.models import get_model, list_models
from importlib.metadata import entry_points
config = yaml.safe_load(written.getvalue())
result = {
    "command line": config["model"]["class_path"].rpartition(".")[2],
    "its argument": config["model"]["init_args"]["k_shot"],
    "data on the command line": config["data"]["class_path"].rpartition(".")[2],
    "listed": "AdaptCLIP" in list_models("pascal"),
    "allowed": "anomalib_adaptclip" in anomalib.models.ALLOWED_MODULES,
    "models": [
        type(get_model(which, backbone="tiny")).__name__
        for which in (
            "AdaptCLIP",
            "adapt_c_l_i_p",
            {"class_path": "AdaptCLIP"},
            {"class_path": "anomalib.models.AdaptCLIP"},
            {"class_path": "anomalib_adaptclip.AdaptCLIP"},
        )
    ],
    "data module": type(anomalib.data.get_datamodule({"class_path": "SyntheticDefects"})).__name__,
    "entry points": [entry.load() is anomalib.models.AdaptCLIP for entry in entry_points(group="anomalib.models")],
    "source": sys.modules["anomalib_adaptclip"].__file__,
}
"""
RESOLVED = {
    "command line": "AdaptCLIP",
    "its argument": 2,
    "data on the command line": "SyntheticDefects",
    "listed": True,
    "allowed": True,
    "models": ["AdaptCLIP"] * 5,
    "data module": "SyntheticDefects",
    "entry points": [True],
}


def test_wheel_install_is_enough(wheel_environment: Environment) -> None:
    result = wheel_environment.evaluate(RESOLVE)
    assert Path(result.pop("source")).is_relative_to(wheel_environment.site_packages)
    assert result == RESOLVED


def test_editable_install_is_enough(tmp_path: Path, dependencies: Path) -> None:
    environment = Environment(tmp_path / "environment", dependencies)
    environment.install("--editable", str(REPOSITORY))
    result = environment.evaluate(RESOLVE)
    assert Path(result.pop("source")).is_relative_to(REPOSITORY / "src")
    assert result == RESOLVED


@pytest.mark.parametrize("arguments", [[], ["--editable"]], ids=["wheel", "editable"])
def test_uninstalling_leaves_nothing(tmp_path: Path, dependencies: Path, arguments: list[str]) -> None:
    environment = Environment(tmp_path / "environment", dependencies)
    before = environment.files()
    environment.install(*arguments, str(REPOSITORY))
    environment.run("pass")  # compiles the start-up module
    added = {Path(name).name for name in environment.files() - before}
    assert added >= set(START_UP_FILES)
    assert "anomalib" not in added, "the script belongs to anomalib: uninstalling would delete it"
    environment.pip("uninstall", "--quiet", "--yes", "anomalib-adaptclip")
    assert environment.files() == before
    assert environment.run("import sys; assert 'anomalib_adaptclip' not in str(sys.meta_path)").stderr == ""


def test_a_wheel_brings_data_sets_and_figures(wheel_environment: Environment) -> None:
    package = wheel_environment.site_packages / "anomalib_adaptclip"
    assert len(list((package / "configs/data").glob("*.yaml"))) == 12
    assert sorted(path.stem for path in (package / "paper").glob("*.csv")) == [
        f"table{number}" for number in range(1, 6)
    ]


def test_a_wheel_brings_the_command(wheel_environment: Environment) -> None:
    package = wheel_environment.site_packages / "anomalib_adaptclip_cli"
    expected = {path.name for path in (REPOSITORY / "src" / "anomalib_adaptclip_cli").glob("*.py")}
    assert {path.name for path in package.glob("*.py")} == expected != set()
    command = [str(wheel_environment.root / "bin" / "anomalib-adaptclip"), "--help"]
    assert finish(command).stdout.startswith("usage: anomalib-adaptclip ")


def test_the_command_of_a_wheel_brings_its_rows(wheel_environment: Environment, tmp_path: Path) -> None:
    """Nothing is read of the repository: the row named is missing among those that the wheel holds."""
    command = [str(wheel_environment.root / "bin" / "anomalib-adaptclip"), "ablation", "--base", "MVTecAD"]
    command += ["--target", "Visa", "--rows", "9"]
    finished = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    shipped = wheel_environment.site_packages / "anomalib_adaptclip/configs/ablation"
    assert f"{shipped} holds the rows [0, 1, 2, 3, 4, 5, 6, 7], expected [9] as well" in finished.stderr
