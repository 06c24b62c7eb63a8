# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A folder of one product, as users have it: good, bad and masks."""

import shutil
from pathlib import Path

from anomalib_adaptclip import SyntheticDefects


def draw_product(folder: Path, category: str = "button", good: int = 4, bad: int = 4, masks: int = 4) -> Path:
    """Draw good and bad images and masks of the first bad ones.

    Args:
        folder: Folder to make.
        category: What to draw.
        good: Number of good images.
        bad: Number of bad ones.
        masks: How many of the bad ones have a mask.
    """
    drawn = folder.parent / f"{folder.name}-drawn"
    SyntheticDefects(
        drawn, category, image_size=64, num_train_images=1, num_normal_test_images=good, num_images_per_defect=bad
    ).prepare_data()
    shutil.copytree(drawn / category / "test/good", folder / "good")
    defects = [path for path in sorted((drawn / category / "test").glob("*/*.png")) if path.parent.name != "good"]
    (folder / "bad").mkdir()
    for index, path in enumerate(defects[:bad]):
        shutil.copy(path, folder / f"bad/{index:03}.png")
        if index < masks:
            (folder / "masks").mkdir(exist_ok=True)
            mask = drawn / category / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
            shutil.copy(mask, folder / f"masks/{index:03}_mask.png")
    shutil.rmtree(drawn)
    return folder
