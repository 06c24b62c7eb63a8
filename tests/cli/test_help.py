# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Help: what it says, how long it is, and that it waits for nothing."""

import os
import subprocess
import sys
from dataclasses import fields

import pytest

from anomalib_adaptclip_cli.options import AdaptCLIPOptions
from anomalib_adaptclip_cli.parser import COMMANDS

HEAVY = {"torch", "lightning", "anomalib", "anomalib_adaptclip", "open_clip", "timm", "pandas", "matplotlib", "numpy"}
SCRIPT = f"""
import sys
from anomalib_adaptclip_cli.main import main
try:
    main(sys.argv[1:])
finally:
    loaded = {HEAVY} & {{name.partition(".")[0] for name in sys.modules}}
    assert not loaded, loaded
"""


def run(*arguments: str) -> str:
    """What the command prints in an interpreter of its own, which must load nothing heavy and warn of nothing."""
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments],
        env=os.environ | {"COLUMNS": "80"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stderr == ""
    assert finished.returncode == 0
    return finished.stdout


def test_help_of_the_command() -> None:
    printed = run("--help")
    assert len(printed.splitlines()) <= 80
    for name in COMMANDS:
        assert f"    {name} " in printed


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_subcommand(name: str) -> None:
    printed = run(name, "--help")
    assert printed.startswith(f"usage: anomalib-adaptclip {name} ")
    assert len(printed.splitlines()) <= 80
    assert "None" not in printed
    assert "class '" not in printed


def test_help_has_every_option_of_the_model_and_its_default() -> None:
    printed = " ".join(run("predict", "--help").split())
    for field in fields(AdaptCLIPOptions):
        assert f"--{field.name} " in printed
    assert "for drawing the prompt images. (default: 10)" in printed
    assert "0 is zero-shot. (default: 0)" in printed
    assert "Whether prompt-query sees the query. (default: true)" in printed


def test_usage_names_what_is_required() -> None:
    assert run("bank-add", "--help").startswith("usage: anomalib-adaptclip bank-add bank name folder [options]\n")
    usage = "usage: anomalib-adaptclip compare --config CONFIG [options] [key=value ...]\n"
    assert run("compare", "--help").startswith(usage)
