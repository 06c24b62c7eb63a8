# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""PredictFolder: a data module for prediction on the images of a folder."""

from pathlib import Path
from typing import Any

from anomalib.data import AnomalibDataModule
from anomalib.data.transforms.utils import extract_transforms_by_type
from torch.utils.data import DataLoader
from torchvision.transforms.v2 import Resize

from anomalib_adaptclip.argument_types import require_at_least, require_types
from anomalib_adaptclip.choices import require_choice

from .empty_dataloader import empty_dataloader
from .image_files import ImageFilesDataset, Unreadable, enough_workers, list_image_files, require_batch_size


class PredictFolder(AnomalibDataModule):
    """Images of a folder for prediction, in batches, while anomalib's own data set for folders has a batch size of one.

    Images are read when they are needed, so their number is not limited. Several processes share them, and each image
    is predicted once.

    Args:
        path: Folder, which is searched with its subfolders, or a single image.
        batch_size: Images in a batch of each process; one for models that leave images of different sizes so.
        num_workers: Worker processes that read images.
        unreadable: What to do with damaged images: ``"error"``, or ``"skip"`` them with a warning that names them.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If an argument is out of range, or there are no images.
    """

    def __init__(
        self, path: Path | str, batch_size: int = 8, num_workers: int = 0, unreadable: Unreadable = "error"
    ) -> None:
        require_types(PredictFolder.__init__, locals())
        require_at_least(0, num_workers=num_workers)
        require_choice("unreadable", unreadable, Unreadable)
        super().__init__(train_batch_size=1, eval_batch_size=require_batch_size(batch_size), num_workers=num_workers)
        self.files = list_image_files(path)
        self.root = Path(path) if Path(path).is_dir() else Path(path).parent
        self.unreadable = unreadable

    def setup(self, stage: str | None = None) -> None:
        """Do nothing: images are read when they are needed."""

    def _setup(self, _stage: str | None = None) -> None:
        """Do nothing."""

    def val_dataloader(self) -> list[Any]:
        """Load nothing: anomalib validates zero-shot models before prediction, and a folder has no labels."""
        return empty_dataloader()

    def predict_dataloader(self) -> DataLoader[Any]:
        """Load the images of this process, resized as the model's pre-processor does."""
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        model: Any = getattr(self.trainer, "lightning_module", None)
        resizes = extract_transforms_by_type(getattr(getattr(model, "pre_processor", None), "transform", None), Resize)
        resize: Any = resizes[0] if resizes else None
        reader = getattr(model, "image_reader", None)
        images = ImageFilesDataset(self.files[rank::processes], resize, self.unreadable, reader)
        keeps_sizes = getattr(model, "input_size", False) is None  # and one batch has one size
        batch_size = 1 if keeps_sizes else self.eval_batch_size
        workers = enough_workers(self.num_workers, len(images.files), batch_size)
        return DataLoader(images, batch_size, num_workers=workers, collate_fn=images.collate_fn)
