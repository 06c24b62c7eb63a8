# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""ImageDataModule: what the data modules of this package have in common."""

from pathlib import Path
from typing import Any

from anomalib.data import AnomalibDataModule
from anomalib.data.utils import TestSplitMode, ValSplitMode

from anomalib_adaptclip.argument_types import require_at_least, require_shares, require_types


class ImageDataModule(AnomalibDataModule):
    """anomalib's data module with the defaults of anomalib's own data sets, such as `MVTecAD`.

    Args:
        train_batch_size: Batch size in training.
        eval_batch_size: Batch size in validation and test.
        num_workers: Worker processes that load images.
        test_split_mode: How the test set is made.
        test_split_ratio: Fraction of the images for the test set where it is split off.
        val_split_mode: How the validation set is made.
        **kwargs: Further arguments of anomalib's `AnomalibDataModule`.
    """

    def __init__(
        self,
        train_batch_size: int = 32,
        eval_batch_size: int = 32,
        num_workers: int = 8,
        test_split_mode: TestSplitMode | str = TestSplitMode.FROM_DIR,
        test_split_ratio: float = 0.2,
        val_split_mode: ValSplitMode | str = ValSplitMode.SAME_AS_TEST,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        require_types(ImageDataModule.__init__, locals())
        require_types(AnomalibDataModule.__init__, kwargs)
        require_at_least(0, num_workers=num_workers)
        require_at_least(1, train_batch_size=train_batch_size, eval_batch_size=eval_batch_size)
        require_shares(test_split_ratio=test_split_ratio, val_split_ratio=kwargs.get("val_split_ratio", 0.5))
        super().__init__(
            train_batch_size=train_batch_size,
            eval_batch_size=eval_batch_size,
            num_workers=num_workers,
            test_split_mode=test_split_mode,
            test_split_ratio=test_split_ratio,
            val_split_mode=val_split_mode,
            **kwargs,
        )


class FolderDataModule(ImageDataModule):
    """A folder of one data set, whose name is given and whose test split is made of its files.

    Args:
        name: Name of the data set, for the folder of the results.
        root: Folder of the data set.
        **kwargs: Further arguments of `ImageDataModule`, except those of the test split.
    """

    def __init__(self, name: str, root: Path | str, **kwargs: Any) -> None:  # noqa: ANN401
        # Any other mode makes normal test images out of the train split, by this ratio.
        super().__init__(test_split_mode=TestSplitMode.NONE, test_split_ratio=0.2, **kwargs)
        self._name = name
        self.root = Path(root)

    @property
    def name(self) -> str:  # type: ignore[override]  # Lightning's attribute, which anomalib makes a property
        """Name of the data set."""
        return self._name
