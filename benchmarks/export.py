# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What export costs: time, peak memory of the process, and the size of the files. One-shot, random weights.

Each export has a process of its own. Its first figure is the time of the export, without building the model. The last
one is the largest difference, of scores and maps of a batch of random images, between what was exported and PyTorch.

    python benchmarks/export.py                       # ViT-L/14 at 518 px
    python benchmarks/export.py --backbone tiny
"""

import argparse
import multiprocessing
import resource
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime
import open_clip
import openvino
import torch
from anomalib.deploy import CompressionType

from anomalib_adaptclip import AdaptCLIP
from anomalib_adaptclip.clip import get_backbone
from anomalib_adaptclip.files.atomic import write_atomically

KINDS = ("onnx", "openvino", "openvino fp16", "openvino int8")


def random_weights(backbone: str, path: Path) -> str:
    """Write random weights of a backbone that has none without a network, and say what to load."""
    if backbone == "tiny":
        return "generated"
    spec = get_backbone(backbone)
    state = open_clip.create_model(backbone, force_quick_gelu=spec.quick_gelu).state_dict()
    write_atomically(path, lambda draft: torch.save(state, draft))
    return str(path)


def run_file(path: Path, images: torch.Tensor) -> dict[str, Any]:
    """Outputs of an exported model, by ONNX Runtime or OpenVINO in float32."""
    if path.suffix == ".onnx":
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(names, {"input": images.numpy()}), strict=True))
    compiled = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {output.any_name: value for output, value in compiled(images.numpy()).items()}


def measure(backbone: str, weights: str, kind: str, folder: str, batch: int) -> tuple[float, float, float, float]:
    """Seconds, peak memory of the process in GB, MB of the files, and the largest difference of one export."""
    model = AdaptCLIP(backbone=backbone, pretrained=weights, adapters="none", visualizer=False).eval()
    height, width = model.input_size or (0, 0)
    model.model.set_prompts(torch.rand(1, 3, height, width))
    start = time.perf_counter()
    if kind == "onnx":
        path = model.to_onnx(folder)
    else:
        _, _, compression = kind.partition(" ")
        path = model.to_openvino(folder, compression_type=CompressionType(compression) if compression else None)
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes on Linux
    size = sum(file.stat().st_size for file in path.parent.iterdir()) / 1e6
    images = torch.rand(batch, 3, height, width)
    with torch.inference_mode():
        expected = model(images)._asdict()
    del model
    found = run_file(path, images)
    names = ("pred_score", "anomaly_map")
    return seconds, memory, size, max(float((torch.tensor(found[name]) - expected[name]).abs().max()) for name in names)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="ViT-L-14-336")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--batch", type=int, default=1, help="images to compare with PyTorch")
    args = parser.parse_args()

    context = multiprocessing.get_context("spawn")
    print(f"{args.backbone}, one shot, {torch.get_num_threads()} threads, torch {torch.__version__}")
    with TemporaryDirectory() as folder:
        weights = random_weights(args.backbone, Path(folder) / "weights.pt")
        for kind in args.kinds:
            with context.Pool(1) as pool, TemporaryDirectory(dir=folder) as target:
                figures = pool.apply(measure, (args.backbone, weights, kind, target, args.batch))
            text = "{:7.1f} s, peak {:5.2f} GB, files {:7.1f} MB, differs by {:.1e}".format(*figures)
            print(f"{kind:14} {text}", flush=True)


if __name__ == "__main__":
    main()
