# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Files that are written whole or not at all."""

from operator import methodcaller
from pathlib import Path

import pytest

from anomalib_adaptclip.files.atomic import write_atomically


def test_a_file_is_made_with_its_folder_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    for text in ("first", "second"):
        write_atomically(path, methodcaller("write_text", text))
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("before")

    def fail(draft: Path) -> None:
        draft.write_text("half")
        msg = "full"
        raise OSError(msg)

    with pytest.raises(OSError, match="full"):
        write_atomically(tmp_path / "a.txt", fail)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "before")]


def test_permissions_are_those_of_new_files(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()

    def private(draft: Path) -> None:
        draft.chmod(0o600)

    write_atomically(tmp_path / "a", private)
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "usual").stat().st_mode
