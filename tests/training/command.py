# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The `anomalib fit` command on a few small generated images, in processes of its own."""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
BASE = {"image_size": 64, "num_train_images": 3, "num_normal_test_images": 4, "num_images_per_defect": 2}
TARGET = {"image_size": 64, "num_train_images": 2, "num_normal_test_images": 3, "num_images_per_defect": 1}
RUN = "results/AdaptCLIPTraining/SyntheticDefects-SyntheticDefects"


def fit(folder: Path, data: Path, *options: object, expected: int = 0) -> str:
    """Run `anomalib fit` in a folder, check how it ended, and return what it said."""
    folder.mkdir(exist_ok=True)
    model = ["AdaptCLIPTraining", "--model.backbone", "tiny", "--model.pretrained", "seed-0", "--model.image_size", 56]
    base = ["--data.base", "SyntheticDefects", "--data.base_root", data, "--data.base_categories", "[gear]"]
    target = ["--data.target", "SyntheticDefects", "--data.target_categories", "[wood]"]
    sizes = ["--data.base_args", json.dumps(BASE), "--data.target_args", json.dumps(TARGET)]
    loading = ["--data.num_workers", 0, "--data.train_batch_size", 4]
    logger = [
        "lightning.pytorch.loggers.CSVLogger",
        "--trainer.logger.save_dir",
        "logs",
        "--trainer.logger.name",
        "run",
    ]
    logging = ["--trainer.logger", *logger, "--trainer.log_every_n_steps", 1]
    trainer = ["--trainer.accelerator", "cpu", "--trainer.devices", 1, "--trainer.max_epochs", 3]
    command = ["fit", "--model", *model, "--data", "QueryPromptDataModule", *base, *target, *sizes, *loading]
    done = subprocess.run(
        [str(part) for part in (Path(sys.executable).parent / "anomalib", *command, *logging, *trainer, *options)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'src'}", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == expected, done.stdout
    return done.stdout


def kill_at(epoch: int, batch: int) -> list[object]:
    """Options that kill the run before a batch."""
    callback = "--trainer.callbacks+=tests.training.interruption.KillAt"
    return [callback, "--trainer.callbacks.epoch", epoch, "--trainer.callbacks.batch", batch]


def rows(folder: Path, version: int = 0) -> list[dict[str, str]]:
    """What the CSV logger wrote."""
    with (folder / f"logs/run/version_{version}/metrics.csv").open() as file:
        return list(csv.DictReader(file))


def from_epoch(logged: Sequence[dict[str, str]], epoch: int) -> list[dict[str, str]]:
    """Rows of an epoch and of those behind it."""
    return [row for row in logged if int(row["epoch"]) >= epoch]


def column(logged: Sequence[dict[str, str]], name: str) -> list[float]:
    """Values of a column where it has some."""
    return [float(row[name]) for row in logged if row.get(name)]
