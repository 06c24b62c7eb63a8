# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What tiles are worth: small defects in large generated images, found in images that are squashed and in tiles.

Good images are rendered at 2,048 px; blots and scratches of a known length are drawn on them. Image AUROC compares good
images with some of them that have a defect of one length, pixel AP is that of the same images at 1,024 px; both are
means over the categories. The time is that of one image, as a ratio to a squashed one.

    python benchmarks/tiles.py
"""

import argparse
import logging
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch.nn.functional import interpolate, max_pool2d
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPPredictor
from anomalib_adaptclip.data.rendering import render_sample

SIDE = 2048
LENGTHS = (12, 20, 30, 40, 60)  # pixels
CATEGORIES = ("coin", "hex_nut", "marble", "weave")  # that `tiny` never saw
ROUTES: dict[str, dict[str, Any]] = {
    "squashed": {},
    "tiles=512": {"tiles": 512},
    "tiles=512, match_window=4": {"tiles": 512, "match_window": 4},
    "tiles=256, prompt_budget=4096": {"tiles": 256, "prompt_budget": 4096},
}


class Photo(NamedTuple):
    """An image of the benchmark: its file, the length of its defect (0 for none), and its mask at 1,024 px."""

    file: Path
    length: int
    mask: torch.Tensor


def damage(image: NDArray[np.uint8], length: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw one blot or scratch of a length in pixels near the middle; the image and its mask ``(H, W)``."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(0.3 * SIDE, 0.7 * SIDE, 2)
    alpha: NDArray[Any] = np.zeros(image.shape[:2], np.float32)
    if seed % 2:
        angle = rng.uniform(0, np.pi)
        reach = length / 2 * np.array([np.cos(angle), np.sin(angle)])
        ends = [tuple(int(value) for value in middle + sign * reach) for sign in (-1, 1)]
        cv2.line(alpha, ends[0], ends[1], 1.0, max(2, length // 8), cv2.LINE_AA)
    else:
        axes = (length // 2, max(2, int(length * rng.uniform(0.25, 0.45))))
        cv2.ellipse(alpha, tuple(map(int, middle)), axes, rng.uniform(0, 360), 0, 360, 1.0, -1, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 1.0)
    shade = 0.0 if rng.random() < 0.5 else 255.0
    mixed = image + 0.45 * alpha[..., None] * (shade - image.astype(np.float32))
    return mixed.round().clip(0, 255).astype(np.uint8), (alpha > 0.3).astype(np.uint8)


def photos(folder: Path, category: str, count: int) -> Iterator[Photo]:
    """Write ``2 * count`` good images, and for each length the first ``count`` of them with a defect."""
    good = [
        np.asarray(render_sample(category, index, series="test", image_size=SIDE).image) for index in range(2 * count)
    ]
    cases = [(index, 0) for index in range(2 * count)]
    cases += [(index, length) for length in LENGTHS for index in range(count)]
    for number, (index, length) in enumerate(cases):
        image, mask = good[index], np.zeros((SIDE, SIDE), np.uint8)
        if length:
            image, mask = damage(image, length, seed=number)
        file = folder / f"{category}-{number}.png"
        Image.fromarray(image).save(file, compress_level=1)
        yield Photo(file, length, max_pool2d(torch.from_numpy(mask)[None].float(), 2)[0].bool())


def run(category: str, shots: int, count: int, routes: Sequence[str]) -> list[tuple[str, int, float, float, float]]:
    """Route, length, image AUROC, pixel AP and seconds an image for one category."""
    rows = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        good = folder / "good"
        good.mkdir()
        for index in range(shots):
            Image.fromarray(render_sample(category, index, image_size=SIDE).image).save(good / f"{index}.png")
        tests = list(photos(folder, category, count))
        for route in routes:
            options = ROUTES[route]
            if shots == 0 and {"match_window", "prompt_budget"} & {*options}:
                continue
            source: dict[str, Any] = {"k_shot": shots, "few_shot_source": good} if shots else {}
            predictor = AdaptCLIPPredictor(AdaptCLIP(backbone="tiny", **source, **options))
            start, scores, maps = time.perf_counter(), [], []
            for photo in tests:
                output = predictor(photo.file)
                scores.append(torch.as_tensor(output.pred_score))
                anomaly_map = torch.as_tensor(output.anomaly_map)
                maps.append(interpolate(anomaly_map, (SIDE // 2, SIDE // 2), mode="bilinear")[0, 0])
            seconds = (time.perf_counter() - start) / len(tests)
            for length in LENGTHS:
                rows_of = [row for row, photo in enumerate(tests) if photo.length in {0, length}]
                labels = torch.tensor([tests[row].length for row in rows_of]) > 0
                auroc = binary_auroc(torch.cat([scores[row] for row in rows_of]), labels.int())
                marked = torch.stack([tests[row].mask for row in rows_of]).flatten().int()
                ap = binary_average_precision(torch.stack([maps[row] for row in rows_of]).flatten(), marked)
                rows.append((route, length, float(auroc), float(ap), seconds))
    return rows


def main() -> None:
    """Print a table for each number of shots."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 1, 4])
    parser.add_argument("--categories", nargs="+", default=list(CATEGORIES))
    parser.add_argument("--count", type=int, default=4, help="images of each length; twice as many good ones")
    parser.add_argument("--routes", nargs="+", choices=list(ROUTES), default=list(ROUTES), help="beside squashed")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    routes = list(dict.fromkeys(["squashed", *arguments.routes]))
    for shots in arguments.shots:
        rows = [row for category in arguments.categories for row in run(category, shots, arguments.count, routes)]
        table = Table(
            "", *(f"{length} px" for length in LENGTHS), "time", title=f"{shots} shots: image AUROC / pixel AP"
        )
        own = {route: [row for row in rows if row[0] == route] for route in routes}
        base = np.mean([row[4] for row in own["squashed"]])
        for route, found in own.items():
            if found:
                means = [np.mean([row[2:4] for row in found if row[1] == length], axis=0) for length in LENGTHS]
                cells = [f"{auroc:.2f} / {ap:.4f}" for auroc, ap in means]
                table.add_row(route, *cells, f"{np.mean([row[4] for row in found]) / base:.1f}")
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
