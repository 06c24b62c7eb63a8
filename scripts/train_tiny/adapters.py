# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Training of the adapters for the trained backbone: as on any base data set, on pairs that are drawn without end."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from anomalib.engine import Engine
from numpy.typing import NDArray
from torch.utils.data import DataLoader, IterableDataset

from anomalib_adaptclip import AdaptCLIPTraining, QueryPromptDataModule
from anomalib_adaptclip.adapters.adapter_file import ADAPTER_FILE
from anomalib_adaptclip.clip import seeded
from anomalib_adaptclip.data.query_prompt_batch import QueryPromptBatch

from .augment import TEXTURE, draw_pairs, draw_texture_pairs
from .products import HELD_OUT, TRAINED, Products

EPOCHS, STEPS, BATCH, SIDE = 6, 100, 8, 224
FEW = {"num_train_images": 1, "num_normal_test_images": 1, "num_images_per_defect": 1}


class DrawnPairs(IterableDataset[QueryPromptBatch]):
    """Batches of one epoch; each seeds its own draws."""

    def __init__(self, products: Products, crops: NDArray[np.uint8] | None, epoch: int) -> None:
        self.products, self.crops, self.epoch = products, crops, epoch

    def __iter__(self) -> Iterator[QueryPromptBatch]:
        """Draw the batches."""
        for step in range(STEPS):
            with seeded(1_000_000 + self.epoch * STEPS + step):
                if self.crops is not None and step % 4 == 0:
                    queries, prompts = draw_texture_pairs(self.crops, BATCH, SIDE)
                else:
                    queries, prompts = draw_pairs(self.products, BATCH, SIDE, varied=step % 2 == 0)
            mask = queries.mask[:, 0] > 0.5
            names = ["texture" if index == TEXTURE else TRAINED[index] for index in queries.category.tolist()]
            yield QueryPromptBatch(
                image=queries.image,
                prompt_image=prompts,
                gt_label=mask.flatten(1).any(dim=1).long(),
                gt_mask=mask,
                image_path=names,
                prompt_path=names,
            )


class GeneratedPairs(QueryPromptDataModule):
    """Trains on the products that the backbone was trained on, validates on categories that it has never seen."""

    def __init__(self, products: Products, crops: NDArray[np.uint8] | None, root: Path) -> None:
        super().__init__(
            "SyntheticDefects",
            root / "base",
            TRAINED,
            FEW,
            "SyntheticDefects",
            root / "target",
            HELD_OUT,
            num_workers=0,
        )
        self.products, self.crops = products, crops

    def train_dataloader(self) -> DataLoader[QueryPromptBatch]:
        """Pairs of this epoch."""
        return DataLoader(DrawnPairs(self.products, self.crops, self.trainer.current_epoch), batch_size=None)


def train_adapters(products: Products, crops: NDArray[np.uint8] | None, work: Path, path: Path) -> None:
    """Train the adapters on products, and on crops of textures if there are any, and write them to ``path``."""
    engine = Engine(
        default_root_dir=work / "adapters",
        accelerator="cpu",
        devices=1,
        max_epochs=EPOCHS,
        reload_dataloaders_every_n_epochs=1,
        limit_train_batches=STEPS,
        logger=False,
    )
    engine.fit(AdaptCLIPTraining("tiny"), datamodule=GeneratedPairs(products, crops, work / "generated"))
    shutil.copy(Path(engine.trainer.checkpoint_callback.dirpath) / ADAPTER_FILE, path)
