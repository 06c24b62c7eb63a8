# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The paper's data sets with a few tiny images, in the layouts that their owners gave them."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from anomalib_adaptclip.data.check import Counts

HEIGHT, WIDTH = 16, 24
STAIN = (slice(4, 10), slice(3, 15))  # the abnormal pixels of every mask


def draw_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def draw_mask(path: Path, *, empty: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    if not empty:
        pixels[STAIN] = 255
    Image.fromarray(pixels).save(path)


def draw_images(folder: Path, count: int, suffix: str = ".png") -> None:
    for number in range(count):
        draw_image(folder / f"{number:03}{suffix}")


def draw_masks(folder: Path, count: int, suffix: str = ".png") -> None:
    for number in range(count):
        draw_mask(folder / f"{number:03}{suffix}")


def mvtec_layout(
    *categories: str, good: str = "good", bad: str = "bad", image: str = ".png", mask: str = ".png"
) -> Callable[[Path], None]:
    def draw(root: Path) -> None:
        for category in categories:
            draw_images(root / category / "train" / good, 3, image)
            draw_images(root / category / "test" / good, 2, image)
            draw_images(root / category / "test" / bad, 2, image)
            draw_masks(root / category / "ground_truth" / bad, 2, mask)

    return draw


def draw_mvtec3d(root: Path) -> None:
    """Colour, depth and mask of an image lie beside each other; normal images have masks too."""
    splits: Sequence[tuple[str, int]] = (("train/good", 3), ("validation/good", 1), ("test/good", 2), ("test/crack", 2))
    for split, count in splits:
        for number in range(count):
            folder = root / "bagel" / split
            draw_image(folder / "rgb" / f"{number:03}.png")
            (folder / "xyz").mkdir(exist_ok=True)
            Image.fromarray(np.ones((HEIGHT, WIDTH), dtype=np.float32)).save(folder / "xyz" / f"{number:03}.tiff")
            draw_mask(folder / "gt" / f"{number:03}.png", empty=split != "test/crack")


def draw_ksdd(root: Path) -> None:
    """An item is a folder; whether its surface is good is told by its mask."""
    for item in range(7):
        draw_image(root / f"kos{item:02}" / "Part0.jpg")
        draw_mask(root / f"kos{item:02}" / "Part0_label.bmp", empty=item < 5)


def draw_real_iad(root: Path) -> None:
    """Two views of each thing; a list tells the split, and normal images have no mask."""
    lists: dict[str, list[dict[str, str | None]]] = {"train": [], "test": []}
    for split, kind, count in (("train", "OK", 3), ("test", "OK", 2), ("test", "NG", 1)):
        for number in range(count):
            for view in ("C1", "C2"):
                stem = f"{kind}/S{number:04}/audiojack_{split}_{number:04}_{kind}_{view}"
                draw_image(root / "realiad_1024/audiojack" / f"{stem}.jpg")
                if kind == "NG":
                    draw_mask(root / "realiad_1024/audiojack" / f"{stem}.png")
                mask = f"{stem}.png" if kind == "NG" else None
                lists[split].append({"anomaly_class": kind, "image_path": f"{stem}.jpg", "mask_path": mask})
    file = root / "realiad_jsons/realiad_jsons/audiojack.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(lists))


def draw_br35h(root: Path) -> None:
    draw_images(root / "no", 10, ".jpg")
    draw_images(root / "yes", 3, ".jpg")


def draw_covid(root: Path) -> None:
    """The masks show lungs."""
    for folder, count in (("Normal", 10), ("COVID", 3), ("Viral Pneumonia", 2)):
        draw_images(root / folder / "images", count)
        draw_masks(root / folder / "masks", count)


def draw_polyps(root: Path) -> None:
    draw_images(root / "images", 4, ".jpg")
    draw_masks(root / "masks", 4, ".jpg")


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "mvtec": mvtec_layout("bottle", bad="broken_large", mask="_mask.png"),
    "visa": mvtec_layout("visa_pytorch/candle", image=".JPG"),
    "btad": mvtec_layout("01", "02", "03", good="ok", bad="ko"),
    "mvtec3d": draw_mvtec3d,
    "dtd": mvtec_layout("Blotchy_099", mask="_mask.png"),
    "ksdd": draw_ksdd,
    "mpdd": mvtec_layout("bracket_black", bad="hole", mask="_mask.png"),
    "real-iad": draw_real_iad,
    "br35h": draw_br35h,
    "covid": draw_covid,
    "kvasir": draw_polyps,
    "endo": draw_polyps,
}
USUAL = Counts(train_normal=3, test_normal=2, test_abnormal=2, masks=2)
COUNTS = dict.fromkeys(LAYOUTS, USUAL) | {
    "ksdd": Counts(4, 1, 2, 2),
    "real-iad": Counts(6, 4, 2, 2),
    "br35h": Counts(2, 8, 3, 0),
    "covid": Counts(2, 8, 3, 0),
    "kvasir": Counts(0, 0, 4, 4),
    "endo": Counts(0, 0, 4, 4),
}
