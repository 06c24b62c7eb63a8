# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""``python -m scripts.train_tiny``: render, train, and write the two files that the package ships."""

import logging
from pathlib import Path

import jsonargparse

from anomalib_adaptclip.adapters.adapter_file import ADAPTER_FILE
from anomalib_adaptclip.clip import TINY_FOLDER

from .adapters import train_adapters
from .backbone import export_backbone, train_features, train_looks
from .products import open_products, render_products
from .teacher import Teacher, fetch_teacher
from .textures import cut_textures, fetch_textures

logger = logging.getLogger(__name__)


def main(
    work: Path = Path("results/train_tiny"),
    products: int = 50,
    steps: int = 6000,
    feature_steps: int = 2400,
    workers: int = 2,
    generated_only: bool = False,
) -> None:
    """Train the backbone and its adapters. A run that was broken off goes on where it was.

    Args:
        work: Folder for rendered products, textures and checkpoints.
        products: Products to render of each category.
        steps: Steps in which the backbone learns looks.
        feature_steps: Steps in which it learns the teacher's features.
        workers: Processes that render.
        generated_only: Leave out textures and teacher, which apt and pip fetch.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    render_products(work / "products", products, workers)
    drawn = open_products(work / "products")
    crops = None
    if not generated_only:
        fetch_textures(work / "textures")
        teacher = Teacher(fetch_teacher(work))
        crops = cut_textures(work / "textures", workers)
    clip, look = train_looks(drawn, work / "looks.pt", steps)
    if crops is not None:
        train_features(clip, look, teacher, drawn, crops, work / "features.pt", feature_steps)
    export_backbone(clip, TINY_FOLDER / "backbone.safetensors")
    train_adapters(drawn, crops, work, TINY_FOLDER / ADAPTER_FILE)


if __name__ == "__main__":
    jsonargparse.auto_cli(main)
