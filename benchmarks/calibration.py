# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Thresholds from normal images alone: the false-positive rate that they really have, and what they cost in F1.

Generated images, all categories. For each number of shots prompts are drawn anew many times; each draw sets its
thresholds by leaving one out, as ``calibration: normal`` does, and is then measured on test images. The rate of pixels
is that of normal images with any marked pixel. F1 is that of images, next to the largest that any threshold reaches,
which is fitted on the labels of the very test images. Every image is encoded once.

With ``--bank_draws`` the same is measured of a prompt bank of all categories, made by ``add_to_bank`` out of the
largest number of shots, each image judged by the thresholds of its category.

    python benchmarks/calibration.py --bank_draws 2                      # 24 categories, 20 draws
    python benchmarks/calibration.py --categories gear --draws 5         # a quick look
"""

import argparse
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from anomalib.data.utils import LabelName

from anomalib_adaptclip import AdaptCLIP, AdaptCLIPModel, PromptBank, SyntheticDefects
from anomalib_adaptclip.clip import ImageTokens, join_tokens
from anomalib_adaptclip.files.image_reader import read_image
from anomalib_adaptclip.model.bank_calibration import BankCalibrator
from anomalib_adaptclip.model.calibration import make_variants, score_with
from anomalib_adaptclip.model.thresholds import normal_scores


class Measured(NamedTuple):
    """Of a draw: false-positive rates, and F1 of images by the threshold and by the best one."""

    image_rate: float
    pixel_rate: float
    f1: float
    best_f1: float


class Category(NamedTuple):
    """Tokens of a category: the variants of each train image, packed prompts ``(S, N, L, D)``, test images."""

    variants: list[ImageTokens]
    prompts: torch.Tensor
    tests: ImageTokens
    labels: torch.Tensor


@contextmanager
def generated(category: str, args: argparse.Namespace) -> Iterator[SyntheticDefects]:
    with tempfile.TemporaryDirectory() as root:
        data = SyntheticDefects(
            root,
            category,
            num_train_images=args.train_images,
            num_normal_test_images=args.normal_images,
            num_images_per_defect=args.defect_images,
        )
        data.prepare_data()
        data.setup()
        yield data


def encode(model: AdaptCLIP, data: SyntheticDefects) -> Category:
    core = model.model
    transform: Any = getattr(model.pre_processor, "transform", None)
    train = [
        core.encode(transform(make_variants(read_image(path))), core.layers)
        for path in data.train_data.samples.image_path
    ]
    samples = data.test_data.samples
    tests = join_tokens(
        [core.encode(transform(read_image(path).unsqueeze(0)), core.layers) for path in samples.image_path]
    )
    packed = torch.cat([core.prompt_memory.pack(tokens.select([0])) for tokens in train], dim=1)
    return Category(train, packed, tests, labels_of(data))


def labels_of(data: SyntheticDefects) -> torch.Tensor:
    return torch.tensor((data.test_data.samples.label_index == LabelName.ABNORMAL).to_numpy())


def measure_in_bank(model: AdaptCLIP, bank: PromptBank, data: SyntheticDefects, drawn: list[int]) -> Measured:
    files = data.train_data.samples.image_path.tolist()
    model.add_to_bank(data.category, [files[index] for index in drawn], bank)
    model.prompt_bank = bank
    images = model.read_images(data.test_data.samples.image_path.tolist())
    found: Any = model.detect(images, [data.category] * len(images))
    model.prompt_bank = None
    scores, maps, labels = found.pred_score, found.anomaly_map.flatten(1).amax(dim=1), labels_of(data)
    image_rate, pixel_rate = ((values[~labels] > 0.5).float().mean().item() for values in (scores, maps))
    return Measured(
        image_rate, pixel_rate, f1(scores > 0.5, labels), max(f1(scores >= threshold, labels) for threshold in scores)
    )


def measure(model: AdaptCLIPModel, data: Category, drawn: list[int], size: tuple[int, int], rate: float) -> Measured:
    values = torch.stack(
        [
            score_with(model, data.variants[index], data.prompts[:, [i for i in drawn if i != index]], size)
            for index in drawn
        ]
    )
    thresholds = [normal_scores(part).bound(rate) for part in values.unbind(dim=-1)]
    prompts = data.prompts[:, drawn]
    found = score_with(model, data.tests, prompts, size)  # (N, 2)
    normal = found[~data.labels]
    rates = [(normal[:, part] > threshold).float().mean().item() for part, threshold in enumerate(thresholds)]
    scores = found[:, 0]
    best = max(f1(scores >= threshold, data.labels) for threshold in scores)
    return Measured(rates[0], rates[1], f1(scores > thresholds[0], data.labels), best)


def f1(marked: torch.Tensor, labels: torch.Tensor) -> float:
    return float(2 * (marked & labels).sum() / (marked.sum() + labels.sum()))


def draws(args: argparse.Namespace, shots: int) -> Iterator[list[int]]:
    for seed in range(args.draws):
        yield torch.randperm(args.train_images, generator=torch.Generator().manual_seed(seed))[:shots].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="tiny")
    parser.add_argument("--image_size", type=int, help="side of the input in pixels; the backbone's usual")
    parser.add_argument("--categories", nargs="+", default=list(SyntheticDefects.CATEGORIES))
    parser.add_argument("--shots", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--train_images", type=int, default=40)
    parser.add_argument("--normal_images", type=int, default=20)
    parser.add_argument("--defect_images", type=int, default=1, help="of each kind of defect")
    parser.add_argument("--bank_draws", type=int, default=0, help="draws that are measured in a prompt bank, too")
    args = parser.parse_args()

    logging.disable(logging.WARNING)
    model = AdaptCLIP(backbone=args.backbone, image_size=args.image_size).eval()
    model.prepare()
    size: Any = model.input_size
    measured: dict[str, list[Measured]] = {}
    banks = [PromptBank(model.model, args.backbone) for _ in range(args.bank_draws)]
    model.calibrator = calibrator = BankCalibrator(args.rate)
    calibrator.identity = model.scoring_identity
    with torch.inference_mode():
        for category in args.categories:
            with generated(category, args) as data:
                tokens = encode(model, data)
                own = {
                    str(shots): [measure(model.model, tokens, drawn, size, args.rate) for drawn in draws(args, shots)]
                    for shots in args.shots
                }
                if banks:
                    shots = max(args.shots)
                    pairs = zip(banks, draws(args, shots), strict=False)
                    own[f"{shots}, in a bank"] = [measure_in_bank(model, bank, data, drawn) for bank, drawn in pairs]
            for name, found in own.items():
                measured.setdefault(name, []).extend(found)
                means = torch.tensor(found).mean(dim=0).tolist()
                print(f"{category:12} k = {name}: " + " ".join(f"{mean:.3f}" for mean in means), flush=True)
    print(
        f"\n{args.backbone}, {size[0]} px, {len(args.categories)} categories, {args.draws} draws, rate {args.rate:g}\n"
    )
    print("| shots | false positives, images | false positives, maps | F1 of images | F1, threshold fitted on labels |")
    print("|---|---|---|---|---|")
    for name, found in measured.items():
        image_rate, pixel_rate, own_f1, best = torch.tensor(found).mean(dim=0).tolist()
        print(f"| {name} | {image_rate:.1%} | {pixel_rate:.1%} | {own_f1:.3f} | {best:.3f} |")


if __name__ == "__main__":
    main()
