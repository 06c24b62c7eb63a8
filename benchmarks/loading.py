# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""What loading a CLIP from a file costs: CPU time, and the memory that the process holds at most.

Files with random weights are written to a temporary folder, each is loaded in a process of its own. Memory is what
comes on top of the imports, as a multiple of the weights in float32; what is not of the process itself is the file's,
which processes share and the system may drop. Linux only.

Run it with ``python benchmarks/loading.py``; for ViT-L/14 it takes a minute and 4.3 GB of disk.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file

from anomalib_adaptclip.clip import load_clip

FILES = ("float32.safetensors", "float32.pt", "float16.pt")


def write_files(backbone: str, folder: Path) -> None:
    """Write random weights in each form, from a process of its own, whose memory goes with it."""
    if os.fork() == 0:
        state = open_clip.create_model(backbone).state_dict()
        save_file(state, folder / FILES[0])
        torch.save(state, folder / FILES[1])
        torch.save({name: tensor.half() for name, tensor in state.items()}, folder / FILES[2])
        os._exit(0)
    os.wait()


def memory() -> dict[str, int]:
    """Bytes of the process by the names of Linux: at most, now, and of its own now."""
    rows = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    return {row[0]: 1024 * int(row[1]) for row in rows if row[0] in {"VmHWM:", "VmRSS:", "RssAnon:"}}


def measure(backbone: str, path: Path) -> None:
    """Load one file and print what it took."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, start = memory(), time.process_time()
    clip = load_clip(backbone, path).clip
    seconds, after = time.process_time() - start, memory()
    size = sum(tensor.nbytes for tensor in clip.parameters())
    peak, own = (after["VmHWM:"] - before["VmRSS:"]) / size, (after["RssAnon:"] - before["RssAnon:"]) / size
    print(
        f"{path.name:20} {seconds:5.1f} s CPU time, peak {peak:.2f} x {size / 1e6:.0f} MB, own {own:.2f} x", flush=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="ViT-L-14-336")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        write_files(args.backbone, Path(folder))
        for name in FILES:
            if os.fork() == 0:
                measure(args.backbone, Path(folder, name))
                os._exit(0)
            os.wait()


if __name__ == "__main__":
    main()
