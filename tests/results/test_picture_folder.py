# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of images with any names: as many as images, each where its image would be."""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from anomalib_adaptclip.results.picture_folder import PictureFolder, new_folder, picture_name

PICTURE = Image.new("RGB", (2, 2))
ROOT = Path("/data")

NAMES = [
    *("a.png", "a.jpg", "a.PNG", "A.png", "a", "a.png.jpg", "a-2.png", "b/a.png", "B/a.png"),
    *("a..b.png", "100%.png", "%s.png", "two\nlines.png", " .png", "-.png", "中文.png", "'\".png", "\udcff\udcfe.png"),
    *("x" * 251 + ".png", "x" * 251 + ".jpg", "y" * 300, "/".join("z" * 250 for _ in range(20)) + "/1.png"),
    *("c.jpg.png/0.png", "c.jpg"),  # the picture of the second has the name of the folder of the first
    *("d.jpg", "d.jpg.png/0.png"),
]


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_no_name_is_lost(tmp_path: Path) -> None:
    pictures = PictureFolder(tmp_path / "images", [ROOT])
    written = [pictures.save(PICTURE, str(ROOT / name)) for name in NAMES]
    assert set(files_of(tmp_path / "images")) == set(written)
    assert len(set(written)) == pictures.written == len(NAMES)
    for path in written:
        Image.open(path).verify()


@pytest.mark.parametrize("path", [None, "/data/a.jpg"])
def test_images_without_a_name_of_their_own_are_numbered(path: str | None, tmp_path: Path) -> None:
    pictures = PictureFolder(tmp_path, [ROOT])
    assert len({pictures.save(PICTURE, path) for _ in range(3)}) == len(files_of(tmp_path)) == 3


def test_several_processes_write_to_one_folder(tmp_path: Path) -> None:
    folders = [PictureFolder(tmp_path, [ROOT]) for _ in range(4)]
    with ThreadPoolExecutor(4) as executor:
        list(executor.map(lambda folder: [folder.save(PICTURE, None) for _ in range(10)], folders))
    assert len(files_of(tmp_path)) == 40


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/data/a/mon/000.png", "a/mon/000.png"),
        ("/data/a/mon/000.jpg", "a/mon/000.jpg.png"),
        ("/data/a/../b/000.png", "b/000.png"),
        ("/data/../other/000.png", "other/000.png"),
        ("/database/000.png", "database/000.png"),
        ("/special/deep/000.png", "000.png"),
    ],
)
def test_the_path_below_the_root_is_kept(path: str, name: str) -> None:
    assert picture_name(path, [Path("/special/deep"), ROOT]) == Path(name)


def test_each_run_has_a_folder_of_its_own(tmp_path: Path) -> None:
    wanted = tmp_path / "images"
    first = new_folder(wanted)
    assert new_folder(wanted) == first == wanted  # nothing is there yet
    for expected in ("images", "images-2", "images-3"):
        folder = new_folder(wanted)
        assert folder.name == expected
        (folder / "a.png").touch()


def refuse(number: int) -> Callable[..., Any]:
    def write(*_args: Any) -> None:
        raise OSError(number, os.strerror(number))

    return write


@pytest.mark.parametrize(
    ("number", "told"), [(errno.ENOSPC, "No space left on device"), (errno.EACCES, "Permission denied")]
)
def test_a_picture_that_cannot_be_written_is_named(
    number: int, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "write_bytes", refuse(number))
    pictures = PictureFolder(tmp_path, [ROOT])
    with pytest.raises(OSError, match=rf"The picture '{tmp_path}/b/a.png' cannot be written: {told}. .* visualizer"):
        pictures.save(PICTURE, "/data/b/a.png")
    assert files_of(tmp_path) == []  # no part of it stays
