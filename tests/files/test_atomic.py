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


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "a.txt"
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    for text in ("first", "second"):
        write_atomically(link, methodcaller("write_text", text))
        assert link.is_symlink()
        assert target.read_text() == text
    assert list(target.parent.iterdir()) == [target]


def test_what_is_no_file_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "device").symlink_to("/dev/full")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("folder", "device", "loop"):
        with pytest.raises(ValueError, match=rf"{name} should be a file to write, but there is a folder, a device or"):
            write_atomically(tmp_path / name, methodcaller("write_text", "a"))
    assert Path("/dev/full").is_char_device()


def test_a_full_disk_is_told_with_the_file(tmp_path: Path) -> None:
    def fail(draft: Path) -> None:
        draft.touch()
        Path("/dev/full").write_text("a")

    with pytest.raises(OSError, match=r"^Cannot write .*a\.txt: No space left on device\. Free space, or name"):
        write_atomically(tmp_path / "a.txt", fail)
    assert list(tmp_path.iterdir()) == []
