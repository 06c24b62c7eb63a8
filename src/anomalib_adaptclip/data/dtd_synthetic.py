# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""DTDSynthetic: a data module for a data set of the paper that anomalib does not have."""

from pathlib import Path
from typing import Any, ClassVar

from anomalib.data.datasets.image.mvtecad import MVTecADDataset
from anomalib.data.utils import Split

from anomalib_adaptclip.argument_types import require_types

from .image_data_module import ImageDataModule


class DTDSynthetic(ImageDataModule):
    """DTD-Synthetic: textures with drawn defects, laid out like MVTec AD. It is not downloaded.

    It is not a subclass of `MVTecAD`, because that class stands for the data the published adapters were trained on.

    Args:
        root: Folder with one folder for each category.
        category: Category to load, one of `CATEGORIES`.
        **kwargs: Further arguments of `ImageDataModule`.

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
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        require_types(DTDSynthetic.__init__, locals())
        super().__init__(**kwargs)
        if category not in self.CATEGORIES:
            msg = f"DTD-Synthetic has no category {category!r}. Choose among {', '.join(self.CATEGORIES)}."
            raise ValueError(msg)
        self.root = Path(root)
        self.category = category

    def _setup(self, _stage: str | None = None) -> None:
        self.train_data = MVTecADDataset(self.root, self.category, split=Split.TRAIN)
        self.test_data = MVTecADDataset(self.root, self.category, split=Split.TEST)
