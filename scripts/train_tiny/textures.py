# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Real textures and photographs under Creative Commons licences, out of two Debian packages.

What they are and who made them is in MODEL_CARD.md. The images stay in the folder of the training.
"""

import logging
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

logger = logging.getLogger(__name__)

SIDE = 224
PACKAGES = ("0ad-data", "gnome-backgrounds")
ARCHIVE = "usr/share/games/0ad/mods/public/public.zip"
FOLDERS = ("art/textures/skins/", "art/textures/terrain/", "art/textures/ui/loading/")
NO_COLOURS = ("norm", "spec", "_ao", "_n.", "mask", "glow", "emit", "_em.")  # maps of normals, of gloss and the like
# Those of gnome-backgrounds whose licence its copyright file tells
PHOTOGRAPHS = (
    "Chmiri", "Terraform-green", "Bokeh_Tails", "Dark_Ivy", "Flowerbed", "Mirror", "Road", "Sandstone",
    "Signpost_of_the_Shadows", "Waves", "Fabric", "Stones", "Godafoss_Iceland", "Icescape", "Waterfalls",
)  # fmt: skip


def fetch_textures(folder: Path) -> None:
    """Fetch and unpack the packages with apt into ``folder``, unless that was finished before.

    Raises:
        OSError: If apt cannot fetch them.
    """
    done = folder / "unpacked"
    if done.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        fetched = subprocess.run(["apt-get", "download", package], cwd=folder, check=False)
        if fetched.returncode:
            msg = f"Expected the Debian package {package} from apt-get. --generated_only trains without it."
            raise OSError(msg)
        subprocess.run(["dpkg-deb", "-x", next(folder.glob(f"{package}_*.deb")), folder], check=True)
    with zipfile.ZipFile(folder / ARCHIVE) as archive:
        archive.extractall(folder, [name for name in archive.namelist() if name.startswith(FOLDERS)])
    done.touch()


def cut_textures(folder: Path, workers: int, *, held_out: bool = False) -> NDArray[np.uint8]:
    """Cut squares out of what was fetched: ``(P, 224, 224, 3)``. Each tenth texture is held out, to measure by."""
    path = folder / ("held_out.npy" if held_out else "crops.npy")
    if not path.exists():
        chosen = [source for source in _sources(folder) if _is_held_out(source) == held_out]
        with ProcessPoolExecutor(workers) as executor:
            crops = np.concatenate(list(executor.map(_cut, chosen, chunksize=16)))
        draft = path.with_suffix(".draft.npy")
        np.save(draft, crops)
        draft.replace(path)
        logger.info("Cut %d squares out of %d textures.", len(crops), len(chosen))
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


def _sources(folder: Path) -> Iterator[Path]:
    for part in FOLDERS:
        for path in sorted((folder / part).rglob("*.dds")):
            if not any(word in path.name.lower() for word in NO_COLOURS):
                yield path
    for path in sorted((folder / "usr/share/backgrounds").rglob("*")):
        if path.stem in PHOTOGRAPHS:
            yield path


def _is_held_out(path: Path) -> bool:
    return zlib.crc32(path.name.split(".")[0][:6].lower().encode()) % 10 == 0  # variants of a texture together


def _cut(path: Path) -> NDArray[np.uint8]:
    """Squares of a texture that are neither flat nor nearly so, resized."""
    none = np.zeros((0, SIDE, SIDE, 3), np.uint8)
    try:
        whole = np.asarray(Image.open(path).convert("RGB"))
    except (OSError, NotImplementedError):  # a format of game textures that Pillow does not read
        return none
    height, width = whole.shape[:2]
    least, most = min(height, width, 144), min(height, width, 560)
    if most < SIDE // 2:
        return none
    random = np.random.default_rng(zlib.crc32(path.name.encode()))
    wanted = 40 if path.stem in PHOTOGRAPHS else int(np.clip(height * width // 160**2, 2, 10))
    found: list[NDArray[np.uint8]] = []
    for _ in range(3 * wanted):
        side = int(random.integers(least, most + 1))
        top, left = random.integers(height - side + 1), random.integers(width - side + 1)
        square = whole[top : top + side, left : left + side]
        if len(found) < wanted and not _is_flat(square):
            found.append(np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BICUBIC)))
    return np.stack(found) if found else none


def _is_flat(square: NDArray[np.uint8]) -> bool:
    grey = square.mean(axis=-1)
    side = len(grey) // 8
    cells = grey[: 8 * side, : 8 * side].reshape(8, side, 8, side).std(axis=(1, 3))
    return bool(grey.std() < 5 or (cells < 1.5).mean() > 0.35)
