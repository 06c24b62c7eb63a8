# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""``python -m scripts.train_tiny``: render, train, and write the two files that the package ships."""

import logging
from pathlib import Path

import jsonargparse

from .backbone import export_backbone, train_backbone
from .products import open_products, render_products


def main(work: Path = Path("results/train_tiny"), products: int = 50, steps: int = 1200, workers: int = 2) -> None:
    """Train the backbone and its adapters. A run that was broken off goes on where it was.

    Args:
        work: Folder for rendered products, checkpoints and the result.
        products: Products to render of each category.
        steps: Steps of the backbone's training.
        workers: Processes that render.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    render_products(work / "products", products, workers)
    clip = train_backbone(open_products(work / "products"), work / "backbone.pt", steps)
    export_backbone(clip, work / "tiny.safetensors")


if __name__ == "__main__":
    jsonargparse.auto_cli(main)
