# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The memory that one large image takes in tiles, beyond the model: the peak of the process, one small image as prompt.

python benchmarks/tile_memory.py --height 4000 --width 6000 --tiles 448
"""

import argparse
import logging
import resource
import time
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor


def peak() -> float:
    """Most memory that this process had so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Print the peak before and after."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--height", type=int, default=4000)
    parser.add_argument("--width", type=int, default=6000)
    parser.add_argument("--tiles", type=int, default=448)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as name:
        good, large = Path(name) / "good", Path(name) / "large.png"
        good.mkdir()
        for file, size in ((good / "small.png", (arguments.tiles,) * 2), (large, (arguments.height, arguments.width))):
            Image.fromarray(rng.integers(0, 255, (*size, 3), np.uint8)).save(file, compress_level=1)
        model = AdaptCLIP(backbone="tiny", tiles=arguments.tiles, k_shot=1, few_shot_source=good)
        predictor = AdaptCLIPPredictor(model)
        predictor(good / "small.png")
        before, start = peak(), time.perf_counter()
        output = predictor(large)
        seconds = time.perf_counter() - start
        shape = tuple(torch.as_tensor(output.anomaly_map).shape[-2:])
        print(f"map {shape}, {seconds:.0f} s; {before:.2f} GB with the model, at most {peak():.2f} GB with the image")


if __name__ == "__main__":
    main()
