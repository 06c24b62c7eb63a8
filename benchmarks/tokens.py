# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What AdaptCLIP costs on top of plain CLIP, as ratios within one run, and the peak memory of each step.

Random weights: speed does not depend on them. Every round times each step once, in turn, so that a busy machine slows
them alike; the ratio of medians is printed.

    python benchmarks/tokens.py                       # ViT-L/14 at 518 px, batch 1, float32, CPU
    python benchmarks/tokens.py --backbone ViT-B-16-plus-240 --device cuda
"""

import argparse
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable

import open_clip
import torch

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.clip import get_backbone

STEPS = ("plain CLIP", "tokens", "zero-shot", "one-shot")
LIMITS = {"tokens": ("plain CLIP", 1.35), "zero-shot": ("tokens", 1.10), "one-shot": ("zero-shot", 1.10)}


def build(args: argparse.Namespace) -> dict[str, Callable[[], object]]:
    """Make each step a function without arguments."""
    backbone = get_backbone(args.backbone)
    size = args.size or backbone.image_size
    plain = open_clip.create_model(backbone.name, force_image_size=size, force_quick_gelu=backbone.quick_gelu)
    plain = plain.eval().to(args.device)
    clip = open_clip.create_model(backbone.name, force_quick_gelu=backbone.quick_gelu)
    zero_shot = AdaptCLIPModel(clip, backbone.layers, backbone.first_vv_block).eval().to(args.device)
    one_shot = AdaptCLIPModel(clip, backbone.layers, backbone.first_vv_block).eval().to(args.device)
    images = torch.randn(args.batch, 3, size, size, device=args.device)
    one_shot.set_prompts(torch.randn(1, 3, size, size, device=args.device))
    zero_shot.encode_texts()
    one_shot.encode_texts()
    return {
        "plain CLIP": lambda: plain.encode_image(images),
        "tokens": lambda: zero_shot.encode(images, zero_shot.layers),
        "zero-shot": lambda: zero_shot(images),
        "one-shot": lambda: one_shot(images),
    }


def timed(step: Callable[[], object], device: str) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    step()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak_memory(args: argparse.Namespace, name: str) -> float:
    """GB that the process has held at most after running one step alone, or the GPU has."""
    step = build(args)[name]
    with torch.inference_mode():
        if args.device != "cpu":
            torch.cuda.reset_peak_memory_stats()
            step()
            return torch.cuda.max_memory_allocated() / 1e9
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes on Linux


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="ViT-L-14-336")
    parser.add_argument("--size", type=int, default=0, help="side of the input in pixels; the backbone's usual")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    steps = build(args)
    with torch.inference_mode():
        for step in steps.values():
            timed(step, args.device)  # warm up
        rounds = [{name: timed(step, args.device) for name, step in steps.items()} for _ in range(args.rounds)]
    medians = {name: statistics.median(row[name] for row in rounds) for name in STEPS}
    del steps, step

    threads = torch.get_num_threads()
    print(f"{args.backbone}, batch {args.batch}, {args.device}, {threads} threads, torch {torch.__version__}")
    context = multiprocessing.get_context("spawn")
    for name in STEPS:
        with context.Pool(1) as pool:
            memory = pool.apply(peak_memory, (args, name))
        reference, limit = LIMITS.get(name, (name, 1.0))
        ratio = medians[name] / medians[reference]
        seconds = medians[name]
        print(f"{name:10} {ratio:5.2f} x {reference:10} (limit {limit:.2f}) {seconds:7.3f} s, peak {memory:5.2f} GB")


if __name__ == "__main__":
    main()
