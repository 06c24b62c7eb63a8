# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How well `tiny` does on photographs that it was not trained on, beside the same network untrained.

Raw scores through anomalib's Engine; the draw of the prompts is repeated as in the paper. Prints a Markdown table.

    python benchmarks/real_data.py --root DIR     # a folder of data sets in MVTec AD layout
"""

import argparse
import logging
import statistics
import tempfile
import warnings
from collections.abc import Sequence

from anomalib.data import MVTecAD
from anomalib.engine import Engine
from anomalib.metrics import AUPR, AUROC, Evaluator

from anomalib_adaptclip import AdaptCLIP

METRICS = ("image_AUROC", "pixel_AUROC", "pixel_AUPR")
SEEDS = (10, 20, 30)


def evaluator() -> Evaluator:
    """The three metrics that are reported."""
    image, pixel = ("pred_score", "gt_label"), ("anomaly_map", "gt_mask")
    return Evaluator(
        test_metrics=[
            AUROC(fields=image, prefix="image_"),
            AUROC(fields=pixel, prefix="pixel_"),
            AUPR(fields=pixel, prefix="pixel_"),
        ]
    )


def measure(root: str, category: str, shots: int, seeds: Sequence[int], **options: str | None) -> list[float]:
    """Means of the metrics over the seeds."""
    runs = []
    for seed in seeds:
        model = AdaptCLIP(
            k_shot=shots,
            backbone="tiny",
            seed=seed,
            post_processor=False,
            visualizer=False,
            evaluator=evaluator(),
            **options,  # type: ignore[arg-type]
        )
        data = MVTecAD(root, category, num_workers=0, eval_batch_size=8)
        with tempfile.TemporaryDirectory() as folder:
            engine = Engine(default_root_dir=folder, logger=False, enable_progress_bar=False)
            [found] = engine.test(model, datamodule=data, verbose=False)
        runs.append([float(found[name]) for name in METRICS])
    return [statistics.mean(column) for column in zip(*runs, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder that holds the categories")
    parser.add_argument("--categories", nargs="+", default=["hazelnut", "cookie", "magnetic_tile"])
    parser.add_argument("--shots", nargs="+", type=int, default=[0, 1, 4])
    parser.add_argument("--pretrained", nargs="+", default=["generated", "seed-0"])
    parser.add_argument("--adapters", default="auto")
    parser.add_argument("--fusion", help="the usual one of tiny by default")
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    print(f"| weights | shots | category | {' | '.join(name.replace('_', ' ') for name in METRICS)} |")
    print("|---" * (3 + len(METRICS)) + "|")
    for pretrained in arguments.pretrained:
        for shots in arguments.shots:
            rows = {}
            for category in arguments.categories:
                options = {"pretrained": pretrained, "adapters": arguments.adapters, "fusion": arguments.fusion}
                rows[category] = measure(arguments.root, category, shots, SEEDS if shots else SEEDS[:1], **options)
                line(pretrained, shots, category, rows[category])
            line(pretrained, shots, "mean", [statistics.mean(column) for column in zip(*rows.values(), strict=True)])


def line(pretrained: str, shots: int, category: str, figures: Sequence[float]) -> None:
    """Print a row of the table."""
    print(f"| {pretrained} | {shots} | {category} | {' | '.join(f'{figure:.3f}' for figure in figures)} |", flush=True)


if __name__ == "__main__":
    main()
