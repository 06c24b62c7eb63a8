# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The check of a data set on disk: counts of its images and masks, and problems."""

import json
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from anomalib.data import MPDD, AnomalibDataModule, Folder, Kolektor, MVTecAD, RealIAD, Visa
from anomalib.data.utils import LabelName
from torchvision.datasets.folder import IMG_EXTENSIONS

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.files.image_reader import ImageReader, UnreadableImageError

from .abnormal_folder import AbnormalFolder
from .catalogue import build_data_set, categories_of_data_set
from .data_source import images_without_mask
from .dtd_synthetic import DTDSynthetic
from .messages import abbreviate


class Counts(NamedTuple):
    """Numbers of images of a category.

    Attributes:
        train_normal: Normal images to train on or to draw prompts from.
        test_normal: Normal test images.
        test_abnormal: Abnormal test images.
        masks: Masks of the abnormal test images.
    """

    train_normal: int
    test_normal: int
    test_abnormal: int
    masks: int


class Report(NamedTuple):
    """Result of the check of a category.

    Attributes:
        category: Name of the category, or of the data set if it has no categories.
        counts: Numbers of images, None if the images cannot be listed.
        problems: Problems found, one sentence each.
    """

    category: str
    counts: Counts | None
    problems: list[str]


def check_data_set(name: str, root: Path | str | None = None) -> Iterator[Report]:
    """Check a data set of the paper, category by category. Every image and mask is read.

    Args:
        name: Name of the data set, such as ``"mvtec"``.
        root: Folder of the data set. By default the one in its configuration.

    Yields:
        One report for each category, as soon as it is checked; a single report if the folder or all of its content is
        missing.

    Raises:
        ValueError: If there is no such data set.
    """
    require_types(check_data_set, locals())
    categories: list[str | None] = [*categories_of_data_set(name)]
    modules = [(category, build_data_set(name, root, category)) for category in categories or [None]]
    if absence := _absence([module for _, module in modules]):
        yield Report(name, None, [absence])
        return
    for category, module in modules:
        yield check_category(module, category or module.name)


def check_category(module: AnomalibDataModule, category: str) -> Report:
    """Check the images and masks of a data module.

    Args:
        module: Data module, not set up.
        category: Name for the report.

    Returns:
        The report.
    """
    faults: list[str] = []
    try:
        module.setup()
        train, test = module.train_data.samples, module.test_data.samples
    except Exception as error:  # noqa: BLE001  # anomalib passes on pandas' errors too, and each is a problem to report
        faults = listing_faults(module, error)
        folder = _category_folder(module)
        if folder is None or not folder.is_dir():
            return Report(category, None, faults)
        train, test = _list_split(folder, "train"), _list_split(folder, "test")
    abnormal = test[test.label_index == LabelName.ABNORMAL]
    unmasked = images_without_mask(abnormal) if _has_masks(module) else []
    masks = len(abnormal) - len(unmasked) if _has_masks(module) else 0
    train_normal, test_normal = (int((data.label_index == LabelName.NORMAL).sum()) for data in (train, test))
    problems = [*faults, *_empty_splits(module, train, test)]
    if unmasked and not faults:  # otherwise the faults name them
        problems.append(f"{len(unmasked)} abnormal images have no mask: {abbreviate(unmasked)}")
    with_mask = abnormal[~abnormal.image_path.isin(unmasked)]
    problems += _faulty_files([*train.image_path, *test.image_path], with_mask, masks)
    return Report(category, Counts(train_normal, test_normal, len(abnormal), masks), problems)


def listing_faults(module: AnomalibDataModule, error: Exception) -> list[str]:
    """Explain why a data module cannot be set up: by the missing files, or by anomalib's error.

    Args:
        module: Data module whose setup failed.
        error: Error that its setup raised.

    Returns:
        The reasons, one sentence each.
    """
    return _missing_files(module) or [f"It cannot be listed: {error}"]


def _absence(modules: Sequence[AnomalibDataModule]) -> str:
    """Explain why there are no files of a data set at all; empty if there are some."""
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
    if not splits_by_ratio and (normal.split == "train").all():  # anomalib took them from the train split instead
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
    """Read an image to its end and return its height and width upright, None if that fails."""
    try:
        image = ImageReader().read(path)
    except UnreadableImageError:
        return None
    return image.shape[-2], image.shape[-1]


def _missing_files(module: AnomalibDataModule) -> list[str]:
    """Find the missing files, where anomalib's error does not name them."""
    missing: list[Path] = []
    unmasked: list[Path] = []
    orphans: list[Path] = []
    if isinstance(module, RealIAD):
        missing = [path for path in _listed_files(module) if not path.exists()]
    elif isinstance(module, Kolektor):
        unmasked = [
            path for path in module.root.rglob("*.jpg") if not path.with_name(f"{path.stem}_label.bmp").exists()
        ]
    elif folder := _category_folder(module):
        images = [path for path in _images(folder, "test") if path.parent.name != "good"]
        masks = _images(folder, "ground_truth")
        unmasked = [image for image in images if not any(_belongs(mask, image) for mask in masks)]
        orphans = [mask for mask in masks if not any(_belongs(mask, image) for image in images)]
    faults = {"listed files are missing": missing, "images have no mask": unmasked, "masks have no image": orphans}
    return [f"{len(paths)} {fault}: {abbreviate(sorted(map(str, paths)))}" for fault, paths in faults.items() if paths]


def _category_folder(module: AnomalibDataModule) -> Path | None:
    """Return the folder of the category in the layout of MVTec AD, None for other layouts."""
    if not isinstance(module, MVTecAD | Visa | MPDD | DTDSynthetic):
        return None
    return Path(module.split_root if isinstance(module, Visa) else module.root) / module.category


def _images(folder: Path, split: str) -> list[Path]:
    return sorted(path for path in folder.glob(f"{split}/*/*") if path.suffix.lower() in IMG_EXTENSIONS)


def _list_split(folder: Path, split: str) -> pd.DataFrame:
    """List a split in the layout of MVTec AD as anomalib would, if no file were missing."""
    masks = _images(folder, "ground_truth")
    rows = []
    for path in _images(folder, split):
        label = LabelName.NORMAL if path.parent.name == "good" else LabelName.ABNORMAL
        mask = next((str(mask) for mask in masks if label and _belongs(mask, path)), None)
        rows.append((str(path), label, split, mask))
    return pd.DataFrame(rows, columns=["image_path", "label_index", "split", "mask_path"])


def _belongs(mask: Path, image: Path) -> bool:
    """Whether anomalib pairs the mask with the image."""
    return mask.parent.name == image.parent.name and image.stem in mask.stem


def _listed_files(module: RealIAD) -> Iterator[Path]:
    folder = module.root / f"realiad_{module.resolution}" / module.category
    file = module.root / str(module.json_path).format(category=module.category)
    if file.exists() and folder.exists():
        splits = json.loads(file.read_text(encoding="utf-8"))
        for sample in (*splits.get("train", []), *splits.get("test", [])):
            yield folder / sample["image_path"]
