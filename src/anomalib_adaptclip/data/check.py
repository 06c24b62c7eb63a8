# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What there is of a data set on disk, and what is wrong with it."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from anomalib.data import MPDD, AnomalibDataModule, Folder, Kolektor, MVTecAD, RealIAD, Visa
from anomalib.data.utils import LabelName
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from .abnormal_folder import AbnormalFolder
from .catalogue import build_data_set, categories_of_data_set
from .data_source import images_without_mask
from .dtd_synthetic import DTDSynthetic
from .messages import abbreviate


class Counts(NamedTuple):
    """Images of a category.

    Attributes:
        train_normal: Normal ones to train on, or to draw prompts from.
        test_normal: Normal ones to test on.
        test_abnormal: Abnormal ones to test on.
        masks: Of the abnormal ones.
    """

    train_normal: int
    test_normal: int
    test_abnormal: int
    masks: int


class Report(NamedTuple):
    """What was found of a category.

    Attributes:
        category: Its name, that of the data set where there are no categories.
        counts: Images, None if they cannot be listed.
        problems: What is wrong, a sentence each.
    """

    category: str
    counts: Counts | None
    problems: list[str]


def check_data_set(name: str, root: Path | str | None = None) -> Iterator[Report]:
    """Check a data set of the paper, category by category. Every image and mask is read.

    Args:
        name: Of the data set, such as ``"mvtec"``.
        root: Its folder. By default what its file says.

    Yields:
        A report per category, as soon as it is there; one of the data set where its folder, or all of it, is missing.

    Raises:
        ValueError: If there is no such data set.
    """
    categories: list[str | None] = [*categories_of_data_set(name)]
    modules = [(category, build_data_set(name, root, category)) for category in categories or [None]]
    if absence := _absence([module for _, module in modules]):
        yield Report(name, None, [absence])
        return
    for category, module in modules:
        yield check_category(module, category or module.name)


def check_category(module: AnomalibDataModule, category: str) -> Report:
    """Check what a data module holds.

    Args:
        module: Data module, not set up.
        category: What to call it in the report.

    Returns:
        The report.
    """
    faults: list[str] = []
    try:
        module.setup()
        train, test = module.train_data.samples, module.test_data.samples
    except Exception as error:  # noqa: BLE001  # anomalib raises pandas' errors too, and any of them is a finding
        faults = listing_faults(module, error)
        folder = _category_folder(module)
        if folder is None or not folder.is_dir():
            return Report(category, None, faults)
        train, test = _list_split(folder, "train"), _list_split(folder, "test")
    abnormal = test[test.label_index == LabelName.ABNORMAL]
    bare = images_without_mask(abnormal) if _has_masks(module) else []
    masks = len(abnormal) - len(bare) if _has_masks(module) else 0
    train_normal, test_normal = (int((data.label_index == LabelName.NORMAL).sum()) for data in (train, test))
    problems = [*faults, *_empty_splits(module, train, test)]
    if bare and not faults:  # which name them
        problems.append(f"{len(bare)} abnormal images have no mask: {abbreviate(bare)}")
    problems += _faulty_files([*train.image_path, *test.image_path], abnormal[~abnormal.image_path.isin(bare)], masks)
    return Report(category, Counts(train_normal, test_normal, len(abnormal), masks), problems)


def listing_faults(module: AnomalibDataModule, error: Exception) -> list[str]:
    """Tell why a data module cannot be set up: the files that are missing, or else what anomalib says.

    Args:
        module: Data module.
        error: What its setup raised.

    Returns:
        A sentence each.
    """
    return _missing_files(module) or [f"It cannot be listed: {error}"]


def _absence(modules: Sequence[AnomalibDataModule]) -> str:
    """Why there is nothing of a data set at all, empty if there is something."""
    root = Path(getattr(modules[0], "root", None) or ".")
    if not root.is_dir():
        return f"There is no folder {root}. Name that of the data set: --root PATH"
    folders = [folder for folder in map(_category_folder, modules) if folder]
    if folders and not any(folder.is_dir() for folder in folders):
        names = abbreviate([folder.name for folder in folders])
        return f"{folders[0].parent} should hold the folders of the categories, and has none of {names}"
    return ""


def _has_masks(module: AnomalibDataModule) -> bool:
    return not (isinstance(module, Folder) and module.mask_dir is None)


def _empty_splits(module: AnomalibDataModule, train: pd.DataFrame, test: pd.DataFrame) -> Iterator[str]:
    if not (test.label_index == LabelName.ABNORMAL).any():
        yield "There are no abnormal test images."
    if isinstance(module, AbnormalFolder):
        return
    if not (train.label_index == LabelName.NORMAL).any():
        yield "There are no normal train images."
    normal = test[test.label_index == LabelName.NORMAL]
    splits_by_ratio = isinstance(module, Folder) and module.normal_test_dir is None
    if not splits_by_ratio and (normal.split == "train").all():  # anomalib then takes them from the train split
        yield "There are no normal test images."


def _faulty_files(images: Iterable[str], abnormal: pd.DataFrame, masks: int) -> list[str]:
    """Read all files, and compare the sizes of masks and images."""
    pairs = dict(zip(abnormal.image_path, abnormal.mask_path, strict=True)) if masks else {}
    paths = list(dict.fromkeys([*images, *pairs.values()]))
    with ThreadPoolExecutor() as pool:
        sizes = dict(zip(paths, pool.map(_size, paths), strict=True))
    problems = []
    if unreadable := [path for path, size in sizes.items() if size is None]:
        problems.append(f"{len(unreadable)} images or masks cannot be read: {abbreviate(unreadable)}")
    readable = [(image, mask) for image, mask in pairs.items() if sizes[image] and sizes[mask]]
    if unequal := [mask for image, mask in readable if sizes[image] != sizes[mask]]:
        problems.append(f"{len(unequal)} masks have another size than their image: {abbreviate(unequal)}")
    return problems


def _size(path: str) -> tuple[int, int] | None:
    """Width and height of an image, None if it cannot be read to its end."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.width, image.height
    except (OSError, SyntaxError):  # Pillow raises the second on broken PNG files
        return None


def _missing_files(module: AnomalibDataModule) -> list[str]:
    """What is missing where anomalib only says that something is."""
    missing: list[Path] = []
    bare: list[Path] = []
    orphans: list[Path] = []
    if isinstance(module, RealIAD):
        missing = [path for path in _listed_files(module) if not path.exists()]
    elif isinstance(module, Kolektor):
        bare = [path for path in module.root.rglob("*.jpg") if not path.with_name(f"{path.stem}_label.bmp").exists()]
    elif folder := _category_folder(module):
        images = [path for path in _images(folder, "test") if path.parent.name != "good"]
        masks = _images(folder, "ground_truth")
        bare = [image for image in images if not any(_belongs(mask, image) for mask in masks)]
        orphans = [mask for mask in masks if not any(_belongs(mask, image) for image in images)]
    faults = {"listed files are missing": missing, "images have no mask": bare, "masks have no image": orphans}
    return [f"{len(paths)} {fault}: {abbreviate(sorted(map(str, paths)))}" for fault, paths in faults.items() if paths]


def _category_folder(module: AnomalibDataModule) -> Path | None:
    """Folder of the category in the layout of MVTec AD, None for other layouts."""
    if not isinstance(module, MVTecAD | Visa | MPDD | DTDSynthetic):
        return None
    return Path(module.split_root if isinstance(module, Visa) else module.root) / module.category


def _images(folder: Path, split: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"{split}/*/*") if path.suffix.lower() in IMG_EXTENSIONS)


def _list_split(folder: Path, split: str) -> pd.DataFrame:
    """What anomalib would list of the layout of MVTec AD, if all of it were there."""
    masks = _images(folder, "ground_truth")
    rows = []
    for path in _images(folder, split):
        label = LabelName.NORMAL if path.parent.name == "good" else LabelName.ABNORMAL
        mask = next((str(mask) for mask in masks if label and _belongs(mask, path)), None)
        rows.append((str(path), label, split, mask))
    return pd.DataFrame(rows, columns=["image_path", "label_index", "split", "mask_path"])


def _belongs(mask: Path, image: Path) -> bool:
    """Whether anomalib would pair them."""
    return mask.parent.name == image.parent.name and image.stem in mask.stem


def _listed_files(module: RealIAD) -> Iterator[Path]:
    folder = module.root / f"realiad_{module.resolution}" / module.category
    file = module.root / str(module.json_path).format(category=module.category)
    if file.exists() and folder.exists():
        splits = json.loads(file.read_text(encoding="utf-8"))
        for sample in (*splits.get("train", []), *splits.get("test", [])):
            yield folder / sample["image_path"]
