# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Standard output and error that cannot take what a command prints: the work counts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# A subcommand that loads nothing heavy: it says a line, works, and says many more.
SCRIPT = """
import sys
from pathlib import Path
from anomalib_adaptclip_cli import main, parser
from anomalib_adaptclip_cli.console import progress_bar, say

def work(path: Path) -> None:
    '''Do some work.

    Args:
        path: File to write.
    '''
    say("b\\u00e4nk \\udce4 [done]")
    with progress_bar() as progress:
        progress.advance(progress.add_task("Images", total=1))
    with open(path, "w") as file:
        file.write("done")
        for _ in range(5000):
            say("b\\u00e4nk")
        print("b\\u00e4nk", file=sys.stderr)

parser.COMMANDS["work"] = parser.Command(work)
sys.exit(main.main(sys.argv[1:]))
"""


def run(arguments: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run the command in a shell, which closes streams and connects pipes."""
    return subprocess.run(
        ["bash", "-c", f'"$PYTHON" -W error -c "$SCRIPT" {arguments}'],
        env=os.environ | {"PYTHON": sys.executable, "SCRIPT": SCRIPT} | variables,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"PYTHONIOENCODING": "ascii"}, id="ascii"),
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, id="C"),
        pytest.param({"PYTHONIOENCODING": "utf-8"}, id="utf-8"),
    ],
)
def test_what_cannot_be_encoded_is_replaced(tmp_path: Path, variables: dict[str, str]) -> None:
    finished = run(f"work {tmp_path}/file", **variables)
    assert finished.returncode == 0
    assert finished.stdout.startswith("bänk ? [done]\n".encode() if "utf-8" in variables.values() else b"b?nk ? [done]")
    assert (tmp_path / "file").read_text() == "done"


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-", "| head -n 1", "2>&1 | true"])
def test_closed_output_ends_no_command(tmp_path: Path, redirection: str) -> None:
    finished = run(f"work {tmp_path}/file {redirection}; exit ${{PIPESTATUS[0]}}")
    assert finished.returncode == 0
    assert b"Error" not in finished.stderr
    assert (tmp_path / "file").read_text() == "done"


@pytest.mark.parametrize("redirection", [">&-", "| true"])
def test_help_nobody_reads(redirection: str) -> None:
    finished = run(f"--help {redirection}; exit ${{PIPESTATUS[0]}}")
    assert finished.returncode == 0
    assert finished.stderr == b""


@pytest.mark.parametrize("redirection", ["", "2>&-"])
def test_a_wrong_argument_stays_wrong(redirection: str) -> None:
    assert run(f"no-such-command {redirection}").returncode == 2


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    """What was to be kept is not: unlike a reader that has seen enough."""
    finished = run(f"work {tmp_path}/file > /dev/full")
    assert finished.returncode == 2
    told = b"anomalib-adaptclip: No space left on device: stdout. Free space, and run the command again.\n"
    assert finished.stderr == told
