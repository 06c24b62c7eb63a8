# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What many shots cost: time as ratios to zero-shot within one run, and the memory that the search needs.

Random weights, and random tokens as prompts: neither speed nor memory depends on them. Every round times each number of
shots once, in turn, so that a busy machine slows them alike; the ratio of medians is printed. The memory is that of the
search at all layers on top of queries and prompts, what it returns included, each in a process of its own.

    python benchmarks/shots.py                           # ViT-L/14 at 518 px, float32, CPU
    python benchmarks/shots.py --precision float16 --device cuda
    python benchmarks/shots.py --rounds 0                # the memory alone
"""

import argparse
import multiprocessing
import resource
import statistics
import time

import open_clip
import torch
from torch.nn.functional import normalize

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.clip import Backbone, get_backbone
from anomalib_adaptclip.prompts.memory import align_layers

TIME_LIMITS = {16: 1.35}  # times zero-shot
MEMORY_LIMIT = 256  # MB at batch 8


def random_prompts(args: argparse.Namespace, shots: int) -> torch.Tensor:
    """Normalised tokens as they are stored, made in pieces so that making them needs no more memory than they do."""
    backbone, side = get_backbone(args.backbone), grid_side(args)
    width = {"ViT-L-14-336": 768, "ViT-B-16-plus-240": 640}[args.backbone]
    dtype = getattr(torch, args.precision)
    tokens = torch.empty(len(backbone.layers), shots, side * side, width, dtype=dtype, device=args.device)
    for layer in tokens:
        for image in layer:
            image.copy_(normalize(torch.randn(side * side, width), dim=-1))
    return tokens


def grid_side(args: argparse.Namespace) -> int:
    backbone = get_backbone(args.backbone)
    return int((args.size or backbone.image_size) // backbone.patch_size)


def time_shots(args: argparse.Namespace) -> dict[int, float]:
    """Median seconds for each number of shots; 0 is zero-shot."""
    backbone: Backbone = get_backbone(args.backbone)
    size = args.size or backbone.image_size
    clip = open_clip.create_model(backbone.name, force_quick_gelu=backbone.quick_gelu)
    model = AdaptCLIPModel(clip, backbone.layers, backbone.first_vv_block).eval().to(args.device)
    images = torch.randn(args.batch, 3, size, size, device=args.device)
    prompts = {shots: random_prompts(args, shots) for shots in args.shots}
    seconds: dict[int, list[float]] = {shots: [] for shots in (0, *args.shots)}
    for number in range(args.rounds + 1):
        for shots, measured in seconds.items():
            model.clear_prompts()
            if shots:
                model.prompt_memory.tokens = prompts[shots]
            start = time.perf_counter()
            model(images)
            if args.device != "cpu":
                torch.cuda.synchronize()
            if number:  # the first warms up
                measured.append(time.perf_counter() - start)
    return {shots: statistics.median(measured) for shots, measured in seconds.items()}


def search_memory(args: argparse.Namespace, shots: int) -> float:
    """MB that the search needs at most on top of prompts and queries, its results included."""
    prompts = random_prompts(args, shots)
    queries = [torch.randn(8, 1 + prompts.shape[2], prompts.shape[3], device=args.device) for _ in prompts]
    align_layers([query[:1, :9] for query in queries], prompts[:, :1, :8])  # libraries are loaded
    before = memory(args.device)
    alignments = align_layers(queries, prompts)
    after = memory(args.device)
    del alignments
    return after - before


def memory(device: str) -> float:
    """Most MB so far of this process, or of the GPU."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # kilobytes on Linux


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="ViT-L-14-336", choices=["ViT-L-14-336", "ViT-B-16-plus-240"])
    parser.add_argument("--size", type=int, default=0, help="side of the input in pixels; the backbone's usual")
    parser.add_argument("--batch", type=int, default=1, help="of the times; the memory is that of batch 8")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 4, 16, 64])
    parser.add_argument("--precision", default="float32", choices=["float32", "float16"], help="of the prompts")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()

    threads = torch.get_num_threads()
    print(f"{args.backbone}, {args.device}, {threads} threads, prompts {args.precision}, torch {torch.__version__}")
    context = multiprocessing.get_context("spawn")
    for shots in args.shots:
        with context.Pool(1) as pool:
            needed = pool.apply(search_memory, (args, shots))
        print(f"K = {shots:2}: the search at batch 8 needs {needed:4.0f} MB (limit {MEMORY_LIMIT})", flush=True)
    if args.rounds:
        with torch.inference_mode():
            medians = time_shots(args)
        for shots, seconds in medians.items():
            limit = f" (limit {TIME_LIMITS[shots]:.2f})" if shots in TIME_LIMITS else ""
            print(
                f"K = {shots:2}: {seconds / medians[0]:5.2f} x zero-shot{limit}, batch {args.batch}, {seconds:7.3f} s"
            )


if __name__ == "__main__":
    main()
