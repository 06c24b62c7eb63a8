# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What half precision does to anomaly maps, zero- and one-shot: raw maps of generated test images beside float32.

python benchmarks/precision.py                                   # tiny, four categories, 112 and 224 px, CPU
python benchmarks/precision.py --accelerator gpu --precisions 16-mixed bf16-mixed
"""

import argparse
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from anomalib.engine import Engine

from anomalib_adaptclip import AdaptCLIP, SyntheticDefects

LIMIT = 2e-2


def predict(args: argparse.Namespace, data: SyntheticDefects, size: int, shots: int, precision: str) -> torch.Tensor:
    """All values of the maps of a category's test images, not normalised."""
    folder = data.root / data.category
    prompts: dict[str, Any] = {"k_shot": shots, "few_shot_source": folder / "train" / "good"} if shots else {}
    model = AdaptCLIP(backbone=args.backbone, image_size=size, visualizer=False, **prompts)
    engine = Engine(
        default_root_dir=data.root.parent / "results",
        accelerator=args.accelerator,
        devices=1,
        precision=precision,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    batches: Any = engine.predict(model, data_path=folder / "test")
    return torch.cat([batch.anomaly_map.float().cpu().flatten() for batch in batches])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--accelerator", default="cpu")
    parser.add_argument("--precisions", nargs="+", default=["bf16-mixed", "bf16-true"])
    parser.add_argument("--categories", nargs="+", default=["marble", "gear", "weave", "cookie"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[112, 224], help="pixels")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore")

    differences: dict[tuple[int, str], list[torch.Tensor]] = {}
    with tempfile.TemporaryDirectory() as root:
        for category in args.categories:
            data = SyntheticDefects(
                Path(root) / "data", category, image_size=256, num_normal_test_images=6, num_images_per_defect=2
            )
            data.prepare_data()
            for size in args.sizes:
                for shots in (0, 1):
                    expected = predict(args, data, size, shots, "32-true")
                    for precision in args.precisions:
                        found = predict(args, data, size, shots, precision)
                        differences.setdefault((shots, precision), []).append((found - expected).abs())
    print(f"{args.backbone}, {args.accelerator}, {', '.join(args.categories)}, {args.sizes} px\n")
    print(f"| shots | precision | largest difference | on average | pixels within {LIMIT:g} |")
    print("|---|---|---|---|---|")
    for (shots, precision), parts in differences.items():
        values = torch.cat(parts)
        within = (values <= LIMIT).double().mean()
        print(f"| {shots} | `{precision}` | {values.max():.4f} | {values.mean():.4f} | {within:.3%} |")


if __name__ == "__main__":
    main()
