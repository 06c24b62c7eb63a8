# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""DTDSynthetic: a data set of the paper that anomalib has no data module for."""

from pathlib import Path
from typing import ClassVar

from anomalib.data import AnomalibDataModule
from anomalib.data.datasets.image.mvtecad import MVTecADDataset
from anomalib.data.utils import Split, TestSplitMode, ValSplitMode
from torchvision.transforms.v2 import Transform


class DTDSynthetic(AnomalibDataModule):
    """DTD-Synthetic, textures with drawn defects in MVTec AD layout. It must be there: nothing is downloaded.

    It is no subclass of `MVTecAD`, which stands for the data that the published adapters were trained on.

    Args:
        root: Folder that holds one folder per category.
        category: One of `CATEGORIES`.
        train_batch_size: Batch size in training.
        eval_batch_size: Batch size in validation and test.
        num_workers: Worker processes that load images.
        train_augmentations: Augmentations of the training images.
        val_augmentations: Augmentations of the validation images.
        test_augmentations: Augmentations of the test images.
        augmentations: Augmentations where none of the above is given.
        test_split_mode: How the test set is made, see `AnomalibDataModule`.
        test_split_ratio: Fraction of images for the test set where it is split off.
        val_split_mode: How the validation set is made, see `AnomalibDataModule`.
        val_split_ratio: Fraction of images for the validation set where it is split off.
        seed: Of random splits.

    Attributes:
        CATEGORIES: Names of all categories.

    Raises:
        ValueError: If the category is unknown.
    """

    CATEGORIES: ClassVar[tuple[str, ...]] = (
        "Blotchy_099",
        "Fibrous_183",
        "Marbled_078",
        "Matted_069",
        "Mesh_114",
        "Perforated_037",
        "Stratified_154",
        "Woven_001",
        "Woven_068",
        "Woven_104",
        "Woven_125",
        "Woven_127",
    )

    def __init__(
        self,
        root: Path | str = "./datasets/DTD-Synthetic",
        category: str = "Blotchy_099",
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        num_workers: int = 8,
        train_augmentations: Transform | None = None,
        val_augmentations: Transform | None = None,
        test_augmentations: Transform | None = None,
        augmentations: Transform | None = None,
        test_split_mode: TestSplitMode | str = TestSplitMode.FROM_DIR,
        test_split_ratio: float = 0.2,
        val_split_mode: ValSplitMode | str = ValSplitMode.SAME_AS_TEST,
        val_split_ratio: float = 0.5,
        seed: int | None = None,
    ) -> None:
        super().__init__(
            train_batch_size=train_batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            train_augmentations=train_augmentations,
            val_augmentations=val_augmentations,
            test_augmentations=test_augmentations,
            augmentations=augmentations,
            test_split_mode=test_split_mode,
            test_split_ratio=test_split_ratio,
            val_split_mode=val_split_mode,
            val_split_ratio=val_split_ratio,
            seed=seed,
        )
        if category not in self.CATEGORIES:
            msg = f"DTD-Synthetic has no category {category!r}. Choose among {', '.join(self.CATEGORIES)}."
            raise ValueError(msg)
        self.root = Path(root)
        self.category = category

    def _setup(self, _stage: str | None = None) -> None:
        self.train_data = MVTecADDataset(self.root, self.category, split=Split.TRAIN)
        self.test_data = MVTecADDataset(self.root, self.category, split=Split.TEST)
