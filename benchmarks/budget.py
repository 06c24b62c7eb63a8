# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a budget of patches costs in accuracy, against the full memory, on generated images.

Every category has its own prompts; images are encoded once and judged with each memory. For comparison the same number
of patches is also drawn at random, five times.

    python benchmarks/budget.py                                    # tiny with random weights, no adapters, K = 8
    python benchmarks/budget.py --backbone ViT-L-14-336 --pretrained clip.safetensors
"""

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torchmetrics.functional.classification import binary_auroc
from torchvision.transforms.v2 import Identity, Transform

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, SyntheticDefects
from anomalib_adaptclip.clip import ImageTokens
from anomalib_adaptclip.model.prediction import predict
from anomalib_adaptclip.prompts.coreset import select_coreset

DRAWS = 5


class Query(NamedTuple):
    """A batch of test images as tokens, with labels ``(B,)`` and masks ``(B, H, W)``."""

    tokens: ImageTokens
    label: torch.Tensor
    mask: torch.Tensor


def encode(model: AdaptCLIPModel, transform: Transform, datamodule: SyntheticDefects) -> Iterator[Query]:
    for batch in datamodule.test_dataloader():
        images, masks = transform(batch.image, batch.gt_mask)
        yield Query(model.encode(images, model.layers), batch.gt_label.long(), (masks > 0).long())


def aurocs(model: AdaptCLIPModel, queries: list[Query], prompts: torch.Tensor) -> torch.Tensor:
    """Image and pixel AUROC with a memory."""
    outputs = [predict(model, q.tokens, prompts, (*q.mask.shape[1:],)) for q in queries]
    scores = torch.cat([torch.as_tensor(output.pred_score) for output in outputs])
    maps = torch.cat([torch.as_tensor(output.anomaly_map).flatten() for output in outputs])
    labels = torch.cat([query.label for query in queries])
    masks = torch.cat([query.mask.flatten() for query in queries])
    return torch.stack([binary_auroc(scores, labels), binary_auroc(maps, masks)])


def random_choice(tokens: torch.Tensor, budget: int, seed: int) -> torch.Tensor:
    pool = tokens.flatten(1, 2)
    kept = torch.randperm(pool.shape[1], generator=torch.Generator().manual_seed(seed))[:budget]
    return pool[:, kept].unsqueeze(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--pretrained", default="seed-0")
    parser.add_argument("--adapters", default="none")
    parser.add_argument("--categories", nargs="+", default=["marble", "gear", "weave"])
    parser.add_argument("--shots", type=int, default=8)
    parser.add_argument("--percent", type=int, nargs="+", default=[50, 25, 10])
    args = parser.parse_args()

    logging.disable(logging.WARNING)
    lightning_model = AdaptCLIP(backbone=args.backbone, pretrained=args.pretrained, adapters=args.adapters).eval()
    lightning_model.prepare()
    model = lightning_model.model
    transform = AdaptCLIP.configure_pre_processor(lightning_model.input_size).transform or Identity()
    print("category, patches, kept in percent: image and pixel AUROC; the same number at random; seconds to choose")
    for category in args.categories:
        with tempfile.TemporaryDirectory() as root, torch.no_grad():
            datamodule = SyntheticDefects(root, category, num_train_images=args.shots)
            datamodule.prepare_data()
            datamodule.setup()
            queries = list(encode(model, transform, datamodule))
            good = torch.cat([batch.image for batch in datamodule.train_dataloader()])
            tokens = model.prompt_memory.pack(model.encode_prompts(transform(good)))
        patches = tokens.shape[1] * tokens.shape[2]
        image, pixel = aurocs(model, queries, tokens)
        print(f"{category:10} {patches:6} 100 %: {image:.3f} {pixel:.3f}", flush=True)
        for percent in args.percent:
            budget = patches * percent // 100
            start = time.perf_counter()
            condensed = select_coreset(tokens.flatten(1, 2), args.shots, budget)
            seconds = time.perf_counter() - start
            image, pixel = aurocs(model, queries, condensed)
            draws = torch.stack([aurocs(model, queries, random_choice(tokens, budget, seed)) for seed in range(DRAWS)])
            chance = draws.mean(dim=0)
            print(
                f"{category:10} {patches:6} {percent:3} %: {image:.3f} {pixel:.3f}; {chance[0]:.3f} {chance[1]:.3f}; "
                f"{seconds:.1f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
