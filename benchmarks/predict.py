# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Whether memory grows with the number of images that are predicted: peak of a process for few and for many.

Generated images, tiny, CPU. Each way and number has a process of its own, and the ratio of their peaks is printed:
our command, anomalib's Engine with a table of results, and the Engine as it is by default, which returns everything.

    python benchmarks/predict.py                        # 1,000 and 10,000 images
    python benchmarks/predict.py --counts 100 1000
"""

import argparse
import logging
import multiprocessing
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from anomalib.engine import Engine
from PIL import Image

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor, PredictFolder
from anomalib_adaptclip.data.image_files import list_image_files
from anomalib_adaptclip.results.prediction_row import prediction_rows
from anomalib_adaptclip.results.prediction_table import PredictionTable, read_predictions

LIMIT = 1.1  # times the peak for few images


def draw_images(folder: Path, count: int) -> None:
    """Write coarse random patterns of 64 pixels."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(generator.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize((64, 64)).save(folder / f"{number:06}.png", compress_level=1)


def by_command(model: Callable[..., AdaptCLIP], folder: Path, table: Path, batch_size: int) -> None:
    predictor = AdaptCLIPPredictor(model())
    with PredictionTable(table) as file:
        for paths, predictions in predictor.stream(list_image_files(folder), batch_size):
            file.write(prediction_rows(paths, predictions, predictor.geometry))


def by_engine(model: Callable[..., AdaptCLIP], folder: Path, table: Path, batch_size: int, stream: bool = True) -> None:
    engine = Engine(
        default_root_dir=table.parent, accelerator="cpu", devices=1, logger=False, enable_progress_bar=False
    )
    data = PredictFolder(folder, batch_size)
    returned = engine.predict(model(results=table if stream else None), datamodule=data)
    if not stream:
        with PredictionTable(table) as file:
            for batch in returned or []:
                file.write(prediction_rows(batch.image_path, batch))  # type: ignore[union-attr]


WAYS: dict[str, Callable[..., None]] = {
    "anomalib-adaptclip predict": by_command,
    "Engine, results": by_engine,
    "Engine, default": partial(by_engine, stream=False),
}


def peak(way: str, folder: Path, args: argparse.Namespace) -> tuple[float, int, float]:
    """Peak MB of this process, rows written, and seconds."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    model: Any = partial(AdaptCLIP, backbone="tiny", image_size=args.image_size, visualizer=False, evaluator=False)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as output:
        table = Path(output, "table.csv")
        WAYS[way](model, folder, table, args.batch_size)
        rows = sum(1 for _ in read_predictions(table))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, rows, time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs=2, default=[1000, 10000], help="few and many images")
    parser.add_argument("--image_size", type=int, default=56, help="side of the input in pixels")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()

    few, many = args.counts
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as root:
        draw_images(Path(root, "few"), few)
        draw_images(Path(root, "rest"), many - few)
        print(f"| way | {few:,} images | {many:,} images | ratio (limit {LIMIT}) |\n|---|---|---|---|", flush=True)
        for way in args.ways:
            peaks = []
            for count, folder in ((few, Path(root, "few")), (many, Path(root))):
                with context.Pool(1) as pool:
                    megabytes, rows, seconds = pool.apply(peak, (way, folder, args))
                if rows != count:
                    msg = f"{way}: {rows} rows of {count} images"
                    raise SystemExit(msg)
                peaks.append((megabytes, seconds))
            cells = " | ".join(f"{megabytes:.0f} MB, {seconds:.0f} s" for megabytes, seconds in peaks)
            print(f"| {way} | {cells} | {peaks[1][0] / peaks[0][0]:.2f} |", flush=True)


if __name__ == "__main__":
    main()
