# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the token cache saves in training, as ratios within one run, and what it does to the losses.

Random weights and generated images: speed depends on neither. Every round trains one epoch without the cache, fills
a new cache, and trains five epochs from it, in turn, so that a busy machine slows them alike.

    python benchmarks/cache.py                              # ViT-B/16+ at 240 px, batch 8, float32, CPU
    python benchmarks/cache.py --images 64 --threads 2
"""

import argparse
import logging
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
from anomalib.engine import Engine
from lightning.pytorch.callbacks import Callback
from safetensors.torch import save_file

from anomalib_adaptclip import AdaptCLIPTraining, QueryPromptDataModule
from anomalib_adaptclip.clip import get_backbone

EPOCHS = 5  # from the cache, a round
LIMIT = 8.0  # times that an epoch from the cache is faster, at least
TOLERANCE = 1e-2  # of the losses


class Clock(Callback):
    """Takes the time of what comes before the first epoch, and of each epoch; keeps the losses of the first."""

    def __init__(self) -> None:
        self.started = self.preparation = 0.0
        self.epochs: list[float] = []
        self.losses: list[dict[str, float]] = []

    def on_fit_start(self, *_: Any) -> None:  # noqa: ANN401
        """Start with the filling."""
        self.started = time.perf_counter()

    def on_train_start(self, *_: Any) -> None:  # noqa: ANN401
        """The cache is filled, if there is one."""
        self.preparation = time.perf_counter() - self.started

    def on_train_epoch_start(self, *_: Any) -> None:  # noqa: ANN401
        """Start with an epoch."""
        self.started = time.perf_counter()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:  # noqa: ANN401
        """Keep the losses."""
        if not self.epochs:
            self.losses.append({name: v.item() for name, v in trainer.logged_metrics.items() if name.endswith("_step")})

    def on_train_epoch_end(self, *_: Any) -> None:  # noqa: ANN401
        """All batches are done; what is written now takes the same time with and without the cache."""
        self.epochs.append(time.perf_counter() - self.started)


class Round(NamedTuple):
    """Seconds of one round, and the largest difference of any part of the loss at any step."""

    plain: float
    filling: float
    cached: float
    difference: float


def train(args: argparse.Namespace, folder: Path, cache_dir: Path | None, epochs: int = 1) -> Clock:
    """Train some epochs."""
    model = AdaptCLIPTraining(
        args.backbone, pretrained=folder / "clip.safetensors", image_size=args.size, cache_dir=cache_dir
    )
    few = {"num_train_images": 8, "num_normal_test_images": args.images // 2, "num_images_per_defect": args.images // 8}
    datamodule = QueryPromptDataModule(
        "SyntheticDefects", folder / "data", ["gear"], few, train_batch_size=args.batch, num_workers=0
    )
    clock = Clock()
    options: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    Engine(max_epochs=epochs, callbacks=[clock], default_root_dir=folder / "results", **options).fit(
        model, datamodule=datamodule
    )
    return clock


def run_round(args: argparse.Namespace, folder: Path, number: int) -> Round:
    """One epoch without the cache, the filling, and some epochs from it, which are short."""
    plain = train(args, folder, None)
    filling = train(args, folder, folder / f"cache{number}")
    cached = train(args, folder, folder / f"cache{number}", EPOCHS)
    steps = zip(plain.losses, cached.losses, strict=True)
    difference = max(abs(value - step[name]) for expected, step in steps for name, value in expected.items())
    return Round(
        plain.epochs[0], filling.preparation - cached.preparation, statistics.median(cached.epochs), difference
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="ViT-B-16-plus-240")
    parser.add_argument("--size", type=int, default=240, help="side of the input in pixels")
    parser.add_argument("--images", type=int, default=32, help="queries an epoch, a multiple of 8")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="of torch; its own choice by default")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    for name in ("", "lightning.pytorch", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.simplefilter("ignore")

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        torch.manual_seed(0)
        clip = open_clip.create_model(args.backbone, force_quick_gelu=get_backbone(args.backbone).quick_gelu)
        save_file({key: tensor.contiguous() for key, tensor in clip.state_dict().items()}, folder / "clip.safetensors")
        del clip
        rounds = [run_round(args, folder, number) for number in range(args.rounds)]
        size = sum(path.stat().st_size for path in (folder / "cache0").rglob("*.safetensors"))

    plain, filling, cached = (statistics.median(column) for column in list(zip(*rounds, strict=True))[:3])
    ratios = [row.plain / row.cached for row in rounds]
    threads = torch.get_num_threads()
    print(
        f"{args.backbone} at {args.size} px, {args.images} queries, batch {args.batch}, {threads} threads, "
        f"torch {torch.__version__}, {args.rounds} rounds"
    )
    for row in rounds:
        print(f"round: without {row.plain:.2f} s, filling {row.filling:.2f} s, from the cache {row.cached:.2f} s")
    print(f"epoch without cache  {plain:7.2f} s")
    print(f"filling the cache    {filling:7.2f} s, {size / 1e6:.1f} MB for {args.images + 8} images")
    print(
        f"epoch from the cache {cached:7.2f} s, {plain / cached:.1f} x faster (at least {LIMIT:.0f}; "
        f"{min(ratios):.1f} to {max(ratios):.1f} by round)"
    )
    print(f"largest difference of a loss {max(row.difference for row in rounds):.1e} (at most {TOLERANCE:.0e})")


if __name__ == "__main__":
    main()
