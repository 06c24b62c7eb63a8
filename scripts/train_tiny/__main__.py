# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""``python -m scripts.train_tiny``: render, train, and write the two files that the package ships."""

import logging
from pathlib import Path

import jsonargparse

from anomalib_adaptclip.adapters.adapter_file import ADAPTER_FILE
from anomalib_adaptclip.clip import TINY_FOLDER

from .adapters import train_adapters
from .backbone import export_backbone, train_backbone
from .products import open_products, render_products


def main(work: Path = Path("results/train_tiny"), products: int = 50, steps: int = 6000, workers: int = 2) -> None:
    """Train the backbone and its adapters. A run that was broken off goes on where it was.

    Args:
        work: Folder for rendered products and checkpoints.
        products: Products to render of each category.
        steps: Steps of the backbone's training.
        workers: Processes that render.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    render_products(work / "products", products, workers)
    drawn = open_products(work / "products")
    export_backbone(train_backbone(drawn, work / "backbone.pt", steps), TINY_FOLDER / "backbone.safetensors")
    train_adapters(drawn, work, TINY_FOLDER / ADAPTER_FILE)


if __name__ == "__main__":
    jsonargparse.auto_cli(main)
