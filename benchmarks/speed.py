# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""How fast AdaptCLIP is, beside plain CLIP and anomalib's WinCLIP: one CSV and a Markdown table, all from one run.

Random weights and random images: speed depends on neither. Each case lives in a process of its own, which tells its
peak memory. Cases with the same reference run side by side: in every round each process is asked in turn, so that a
busy machine slows all alike.

    python benchmarks/speed.py --output results/measured     # needs the extra `openvino`
    python benchmarks/speed.py --cases winclip zero_shot     # some of the cases
"""

import argparse
import csv
import multiprocessing
import resource
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import open_clip
import torch
from torch import nn

from anomalib_adaptclip import AdaptCLIPModel
from anomalib_adaptclip.clip import ImageTokens, get_backbone

BACKBONE = "ViT-B-16-plus-240"  # WinCLIP's
PAUSE = 0.3  # seconds before each turn, in which threads of other runtimes stop spinning
AT_ONCE = 4  # cases beside their reference: each has about 2 GB
Step = Callable[[], object]


class Case(NamedTuple):
    """Something to measure.

    Attributes:
        name: Of the case.
        reference: Case that it is compared with, by time an image.
        method: What runs.
        size: Side of the images in pixels.
        batch: Images at a time.
        shots: Normal images in memory.
        runtime: How it runs: eager, compiled, ONNX Runtime, OpenVINO.
        precision: Of the weights.
        limit: Smallest number of times that it must be faster than its reference; none where it is only told.
    """

    name: str
    reference: str
    method: str = "AdaptCLIP"
    size: int = 240
    batch: int = 1
    shots: int = 0
    runtime: str = "eager"
    precision: str = "float32"
    limit: float | None = None


CASES = (
    Case("plain_clip", "plain_clip", "CLIP, encode_image"),
    Case("tokens", "plain_clip", "AdaptCLIP, tokens"),
    Case("winclip", "winclip", "WinCLIP"),
    Case("winclip_one_shot", "winclip", "WinCLIP", shots=1),
    Case("zero_shot", "winclip", limit=8.0),
    Case("one_shot", "winclip_one_shot", shots=1),
    Case("zero_shot_512", "winclip", size=512, limit=1.0),
    *(Case(f"shots_{shots}", "zero_shot", shots=shots) for shots in (4, 16, 64)),
    Case("batch_8", "zero_shot", batch=8),
    Case("winclip_batch_8", "winclip", "WinCLIP", batch=8),
    Case("bfloat16", "zero_shot", precision="bfloat16"),
    Case("compiled", "zero_shot", runtime="compiled"),
    Case("onnx", "zero_shot", runtime="ONNX Runtime"),
    Case("openvino", "zero_shot", runtime="OpenVINO"),
)


def build(case: Case) -> Step:
    """Make a case a function without arguments."""
    torch.manual_seed(0)
    images = torch.randn(case.batch, 3, case.size, case.size, dtype=getattr(torch, case.precision))
    if case.method == "WinCLIP":
        return partial(build_winclip(case.shots), images)
    clip = open_clip.create_model(BACKBONE, force_image_size=240).eval()
    if case.name == "plain_clip":
        return partial(clip.encode_image, images)
    model = build_adaptclip(clip, case).to(images.dtype)
    if case.name == "tokens":
        return partial(model.encode, images, model.layers)
    return RUNTIMES[case.runtime](model, images)


def build_adaptclip(clip: Any, case: Case) -> AdaptCLIPModel:  # noqa: ANN401
    """AdaptCLIP with all adapters, and random normal images in memory."""
    backbone = get_backbone(BACKBONE)
    model = AdaptCLIPModel(clip, backbone.layers, backbone.first_vv_block).eval()
    model.encode_texts()
    if case.shots:
        tokens = torch.randn(case.shots, 1 + (case.size // backbone.patch_size) ** 2, clip.visual.proj.shape[1])
        rows = case.size // backbone.patch_size
        layers = (tokens,) * len(backbone.layers)
        model.prompt_memory.store(model.prompt_memory.pack(ImageTokens(tokens[:, 0], layers, (rows, rows))))
    return model


def build_winclip(shots: int) -> nn.Module:
    """Anomalib's WinCLIP, without a download."""
    from anomalib.models.image.winclip import torch_model  # noqa: PLC0415  imports all models

    torch_model.PRETRAINED = None  # type: ignore[assignment]
    model = torch_model.WinClipModel(class_name="object").eval()
    if shots:
        model.setup(reference_images=torch.randn(shots, 3, 240, 240))
    return model


def run_eager(model: nn.Module, images: torch.Tensor) -> Step:
    """As it is."""
    return partial(model, images)


def run_compiled(model: nn.Module, images: torch.Tensor) -> Step:
    """By ``torch.compile``, in one graph."""
    return partial(torch.compile(model, fullgraph=True), images)


def run_onnx(model: nn.Module, images: torch.Tensor) -> Step:
    """By ONNX Runtime on the CPU."""
    import onnxruntime  # noqa: PLC0415  of the extra

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        session = onnxruntime.InferenceSession(export(model, images, folder), options, ["CPUExecutionProvider"])
    return partial(session.run, None, {"images": images.numpy()})


def run_openvino(model: nn.Module, images: torch.Tensor) -> Step:
    """By OpenVINO on the CPU."""
    import openvino  # noqa: PLC0415  of the extra

    with tempfile.TemporaryDirectory() as folder:
        core = openvino.Core()
        hints = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(core.read_model(export(model, images, folder)), "CPU", hints)
    return partial(compiled, images.numpy())


def export(model: nn.Module, images: torch.Tensor, folder: str) -> str:
    """Write an ONNX file and return its path."""
    path = str(Path(folder) / "model.onnx")
    torch.onnx.export(model, (images,), path, input_names=["images"], dynamo=True, external_data=False)
    return path


RUNTIMES = {"eager": run_eager, "compiled": run_compiled, "ONNX Runtime": run_onnx, "OpenVINO": run_openvino}


def work(case: Case, pipe: Connection) -> None:
    """Build a case, then run it whenever asked, and answer with the seconds; at the end with the peak memory in GB."""
    warnings.simplefilter("ignore")
    with torch.inference_mode(case.runtime == "eager"), torch.no_grad():
        step = build(case)
        step()  # warm up
        pipe.send("ready")
        while pipe.recv():
            start = time.perf_counter()
            step()
            pipe.send(time.perf_counter() - start)
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)  # kilobytes on Linux


def measure(cases: list[Case], rounds: int) -> list[dict[str, Any]]:
    """Run all cases, beside their references, and put figures beside their names."""
    rows: dict[str, dict[str, Any]] = {}
    for reference in dict.fromkeys(case.reference for case in cases):
        [own] = [case for case in cases if case.name == reference]
        others = [case for case in cases if case.reference == reference and case != own]
        for start in range(0, max(len(others), 1), AT_ONCE):
            measured = measure_group([own, *others[start : start + AT_ONCE]], reference, rounds)
            rows |= {name: row for name, row in measured.items() if row["reference"] == reference}
    return [rows[case.name] for case in cases]


def measure_group(cases: list[Case], reference: str, rounds: int) -> dict[str, dict[str, Any]]:
    """Run cases in turn, each in its process. The times faster than the reference are medians of each round's."""
    context = multiprocessing.get_context("spawn")
    pipes = {}
    for case in cases:
        pipes[case.name], theirs = context.Pipe()
        context.Process(target=work, args=(case, theirs), daemon=True).start()
        pipes[case.name].recv()  # one builds at a time
    seconds: dict[str, list[float]] = {case.name: [] for case in cases}  # an image
    for _ in range(rounds):
        for case in cases:
            time.sleep(PAUSE)
            pipes[case.name].send(True)
            seconds[case.name].append(pipes[case.name].recv() / case.batch)
    rows = {}
    for case in cases:
        pipes[case.name].send(False)
        ratios = [theirs / own for theirs, own in zip(seconds[reference], seconds[case.name], strict=True)]
        rows[case.name] = case._asdict() | {
            "seconds_per_image": round(statistics.median(seconds[case.name]), 4),
            "times_faster": round(statistics.median(ratios), 2),
            "peak_memory_gb": round(pipes[case.name].recv(), 2),
        }
    return rows


def write(rows: list[dict[str, Any]], output: Path) -> str:
    """Write the CSV and the table, and return the table."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / "speed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    titles = ("case", "pixels", "batch", "shots", "runs by", "precision", "s an image", "faster than", "peak memory")
    lines = [" | ".join(("", *titles, "")).strip(), "|---" * len(titles) + "|"]
    for row in rows:
        compared = "" if row["reference"] == row["name"] else f"{row['times_faster']:.2f} x `{row['reference']}`"
        what = (f"`{row['name']}`, {row['method']}", row["size"], row["batch"], row["shots"], row["runtime"])
        figures = (row["precision"], f"{row['seconds_per_image']:.3f}", compared, f"{row['peak_memory_gb']:.1f} GB")
        lines.append(" | ".join(("", *map(str, (*what, *figures)), "")).strip())
    (output / "speed.md").write_text("\n".join(lines) + "\n")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("results/measured"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=[case.name for case in CASES], default=None)
    arguments = parser.parse_args()
    wanted = arguments.cases or [case.name for case in CASES]
    needed = {*wanted, *(case.reference for case in CASES if case.name in wanted)}
    rows = measure([case for case in CASES if case.name in needed], arguments.rounds)
    print(f"CPU, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(write(rows, arguments.output))
    for row in rows:
        if row["limit"] and row["times_faster"] < row["limit"]:
            print(f"{row['name']}: {row['times_faster']} x {row['reference']}, and at least {row['limit']} is wanted.")


if __name__ == "__main__":
    main()
