# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Makes the picture at the top of the README, what ``inspect`` draws: ``python -m scripts.readme_picture``.

The photos are generated, of nuts, which tiny was not trained on.
"""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from anomalib_adaptclip import SyntheticDefects
from anomalib_adaptclip_cli.main import main as run_command

PICTURE = Path(__file__).parents[1] / "docs" / "inspection.png"
SHOWN = ("good/000", "scratch/000", "stain/001")
WIDTH = 760
COLOURS = 256  # a sixth of the bytes, and little to be seen of it


def make() -> Image.Image:
    """Inspect three photos with eight good ones, and put the pictures one below the other."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        SyntheticDefects(
            folder, "hex_nut", num_train_images=8, num_normal_test_images=1, num_images_per_defect=2
        ).prepare_data()
        nuts = folder / "hex_nut"
        (folder / "new").mkdir()
        for shown in SHOWN:
            shutil.copy(nuts / "test" / f"{shown}.png", folder / "new" / f"{Path(shown).parent}.png")
        good, out = nuts / "train" / "good", folder / "out"
        run_command(["inspect", str(good), str(folder / "new"), "--out", str(out), "--backbone", "tiny"])
        pictures = [Image.open(path).convert("RGB") for path in sorted((out / "pictures").glob("*.png"))]
    return stacked(pictures)


def stacked(pictures: list[Image.Image]) -> Image.Image:
    """Put pictures one below the other, at the width of the README."""
    height = sum(picture.height for picture in pictures)
    sheet = Image.new("RGB", (max(picture.width for picture in pictures), height), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return sheet.resize((WIDTH, height * WIDTH // sheet.width), Image.Resampling.LANCZOS)


def main() -> None:
    """Make the picture anew."""
    picture = make().quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    picture.save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()
