# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Locks of files: who is refused, who waits, and what is left."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from anomalib_adaptclip.files.locks import locked

HOLDER = """
import sys
from pathlib import Path
from anomalib_adaptclip.files.locks import locked
with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    input()
"""


def test_a_second_writer_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "runs.csv"
    with (
        locked(path),
        pytest.raises(ValueError, match=rf"Another run is writing .*{path.name}\. Wait until it has finished, or name"),
        locked(path),
    ):
        pass
    with locked(path):
        assert not path.exists()


def test_one_that_waits_comes_after_the_first(tmp_path: Path) -> None:
    order: list[str] = []

    def second() -> None:
        with locked(tmp_path / "bank", wait=True):
            order.append("second")

    other = threading.Thread(target=second)
    with locked(tmp_path / "bank", wait=True):
        other.start()
        other.join(timeout=0.5)
        order.append("first")
    other.join()
    assert order == ["first", "second"]


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path / "runs.csv")], **pipes) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(ValueError, match="Another run is writing"), locked(tmp_path / "runs.csv"):
            pass
        other.kill()
    with locked(tmp_path / "runs.csv"):
        pass


def test_a_lock_that_nobody_waits_for_leaves_no_file(tmp_path: Path) -> None:
    with locked(tmp_path / "runs.csv"):
        assert [path.name for path in tmp_path.iterdir()] == [".runs.csv.lock"]
    assert list(tmp_path.iterdir()) == []


def test_a_link_and_its_target_have_one_lock(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "runs.csv")
    with (
        locked(tmp_path / "runs.csv"),
        pytest.raises(ValueError, match="Another run is writing"),
        locked(tmp_path / "link.csv"),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ValueError, match=r"runs\.csv cannot be written, for .*file is a file and no folder\. Name"),
        locked(tmp_path / "file" / "runs.csv"),
    ):
        pass
