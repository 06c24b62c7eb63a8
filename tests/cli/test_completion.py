# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Completion of the command in a real shell."""

import subprocess
import sys
from pathlib import Path

import pytest

# What bash does when the tab key is pressed behind the words: it calls the function that the script registered.
COMPLETE = """
source "$1"
shift
PATH=
words=(anomalib-adaptclip "$@")
registered=$(complete -p anomalib-adaptclip)
function=${registered#*-F }
COMP_WORDS=("${words[@]}") COMP_CWORD=$# COMP_TYPE=9
"${function%% *}" anomalib-adaptclip "${words[-1]}" "${words[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion") / "script.bash"
    command = [sys.executable, "-m", "anomalib_adaptclip_cli.main", "--print_shtab", "bash"]
    path.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["pre"], ["predict"]),
        (["bank-"], ["bank-add", "bank-remove", "bank-list"]),
        (["predict", "--k"], ["--k_shot"]),
        (["compare", "--dr"], ["--dry_run"]),
        (["predict", "--unreadable", ""], ["error", "skip"]),
        (["predict", "--resume", "t"], ["true"]),
    ],
)
def test_bash_completes(script: Path, words: list[str], expected: list[str]) -> None:
    """It runs no program, neither Python nor another: none is on its path."""
    command = ["bash", "--norc", "-c", COMPLETE, "bash", str(script), *words]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.stderr == ""
    assert finished.stdout.split() == expected


def test_bash_completes_files(script: Path, tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").touch()
    words = ["compare", "--config", str(tmp_path / "swe")]
    command = ["bash", "--norc", "-c", COMPLETE, "bash", str(script), *words]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    assert finished.stdout.split() == [str(tmp_path / "sweep.yaml")]
