# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What ``anomalib-adaptclip inspect`` costs: 8 good and 12 new photos with tiny, beside the import of torch alone.

Generated photos. Each round is one process of either kind, in turn, so that a busy machine slows them alike; the ratio
of their CPU time is what can be compared between machines.

    python benchmarks/inspection.py                       # seconds of wall clock and CPU, two rounds
    python benchmarks/inspection.py --limit 20            # fails if the fastest round takes longer
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from anomalib_adaptclip import SyntheticDefects

GOOD, NEW = 8, 12
COMMAND = ("-m", "anomalib_adaptclip_cli.main", "inspect")


class Cost(NamedTuple):
    """Seconds that a process took."""

    wall: float
    cpu: float


def draw_photos(folder: Path) -> tuple[Path, Path]:
    """Folders of good and of new photos."""
    sets = SyntheticDefects(folder, "gear", num_train_images=GOOD, num_normal_test_images=4, num_images_per_defect=2)
    sets.prepare_data()
    new = folder / "new"
    new.mkdir()
    drawn = sorted((folder / "gear" / "test").rglob("*.png"))
    for path in drawn[:NEW]:
        shutil.copy(path, new / f"{path.parent.name}-{path.name}")
    return folder / "gear" / "train" / "good", new


def cost(*arguments: str | Path) -> Cost:
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--limit", type=float, default=0, help="seconds of the fastest round; 0 for none")
    args = parser.parse_args()

    ways: dict[str, list[Cost]] = {"import torch": [], "import anomalib.models": [], "inspect": []}
    with tempfile.TemporaryDirectory() as name:
        good, new = draw_photos(Path(name))
        for number in range(args.rounds):
            for way, costs in ways.items():
                out = Path(name, f"out{number}")
                inspection = (*COMMAND, good, new, "--out", out, "--backbone", "tiny")
                costs.append(cost(*(inspection if way == "inspect" else ("-c", way))))
    least = {way: min(costs, key=lambda each: each.cpu) for way, costs in ways.items()}
    print(f"{GOOD} good and {NEW} new photos, tiny, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for way, (wall, cpu) in least.items():
        ratio = cpu / least["import torch"].cpu
        print(f"{way:24} {wall:6.1f} s, {cpu:6.1f} s of CPU, {ratio:5.2f} times the import of torch")
    fastest = min(each.wall for each in ways["inspect"])
    if args.limit and fastest > args.limit:
        msg = f"inspect took {fastest:.1f} s, more than {args.limit:g} s"
        raise SystemExit(msg)


if __name__ == "__main__":
    main()
