# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The validation that is skipped for want of a validation split leaves the trainer as it was."""

from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Trainer

from anomalib_adaptclip import AdaptCLIP, SyntheticDefects

LIMIT = 0.5


class Broken(AdaptCLIP):
    """Fails after the callbacks were set up; Lightning then tears nothing down."""

    seen: float | int | None = None

    def setup(self, stage: str) -> None:
        self.seen = self.trainer.limit_val_batches
        message = f"broken in {stage!s}"
        raise RuntimeError(message)


@pytest.mark.parametrize("kind", [AdaptCLIP, Broken])
def test_the_limit_is_put_back(kind: type[AdaptCLIP], tmp_path: Path) -> None:
    data = SyntheticDefects(
        tmp_path, "gear", image_size=64, num_train_images=1, num_normal_test_images=1, num_images_per_defect=1,
        val_split_mode="none",
    )  # fmt: skip
    model: Any = kind(backbone="tiny", pretrained="seed-0", image_size=56, visualizer=False)
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "default_root_dir": tmp_path}
    trainer = Trainer(accelerator="cpu", devices=1, limit_val_batches=LIMIT, **quiet)
    if kind is Broken:
        with pytest.raises(RuntimeError, match="broken in"):
            trainer.validate(model, datamodule=data, verbose=False)
        assert model.seen == 0
    else:
        trainer.validate(model, datamodule=data, verbose=False)
    assert trainer.limit_val_batches == LIMIT
