# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the README shows works: its Python block is run, its commands are parsed. CI runs the two set-up commands."""

import re
import shlex
from pathlib import Path

import pytest
from anomalib.cli.cli import AnomalibCLI

from anomalib_adaptclip_cli.parser import build_parser, normalize

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
BASH = "\n".join(re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)).replace("\\\n", " ")
COMMANDS = [line for line in BASH.splitlines() if line.startswith("anomalib ")]
OURS = [line for line in BASH.splitlines() if line.startswith("anomalib-adaptclip ") and "--print_shtab" not in line]


def test_python_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    [block] = PYTHON
    assert len([line for line in block.splitlines() if line.strip()]) == 8
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102
    assert "torch.Size([1, 224, 224])" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names, arguments and types; the weights that they want cannot be had here."""
    monkeypatch.setattr(AnomalibCLI, "instantiate_classes", lambda _: None)
    monkeypatch.chdir(Path(__file__).parents[1])
    parsed = AnomalibCLI(shlex.split(command, comments=True)[1:], run=False)
    subcommand = parsed.config[parsed.config["subcommand"]]
    name = "AdaptCLIPTraining" if parsed.config["subcommand"] == "fit" else "AdaptCLIP"
    assert subcommand["model"]["class_path"] == f"anomalib_adaptclip.{name}"


@pytest.mark.parametrize("command", OURS)
def test_our_commands_parse(command: str) -> None:
    given = normalize(shlex.split(command, comments=True)[1:])
    assert build_parser().parse_args(given, defaults=given[0] != "predict")["subcommand"] == given[0]


def test_there_are_commands() -> None:
    assert {command.split()[1] for command in COMMANDS} >= {"train", "predict", "test", "fit"}
