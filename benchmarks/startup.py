# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""What starting costs.

First the start-up files, which each Python process reads: starts of a bare interpreter with and without them, in turn.
Then the help and the completion of ``anomalib-adaptclip``, in CPU time, beside what a command that runs has to import,
and where the time goes that ``predict`` takes for one image with `tiny`.

Run it with ``python benchmarks/startup.py``; it takes some minutes and installs nothing.
"""

import compileall
import os
import resource
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from statistics import median

from PIL import Image

from anomalib_adaptclip_cli.parser import COMMANDS

SOURCE = Path(__file__).parents[1] / "src"
FILES = ("anomalib_adaptclip.pth", "anomalib_adaptclip.start", "_anomalib_adaptclip_startup.py")
STARTS = 200
RUNS = 3
PACKAGE = "anomalib_adaptclip"
COMMAND = ("-m", "anomalib_adaptclip_cli.main")


def create_environment(root: Path, files: tuple[str, ...]) -> Path:
    venv.create(root, symlinks=True)
    site_packages = sysconfig.get_path("purelib", "posix_prefix", {"base": str(root)})
    for name in files:
        shutil.copy(SOURCE / name, site_packages)
    compileall.compile_dir(site_packages, quiet=1)  # as pip does
    return root / "bin" / "python"


def start_time(python: Path) -> float:
    begin = time.perf_counter()
    subprocess.run([python, "-c", "pass"], check=True)
    return 1e3 * (time.perf_counter() - begin)


def report(what: str, without: float, with_files: float) -> None:
    added, ratio = with_files - without, with_files / without
    print(f"{what}: {without:.2f} ms without, {with_files:.2f} ms with: {added:+.2f} ms, {ratio:.3f} times")


def cpu_time(*arguments: str) -> float:
    """Seconds of CPU time that an interpreter takes, the least of a few runs. anomalib does not import the package."""
    times, environment = [], os.environ | {"ANOMALIB_ADAPTCLIP_AUTOLOAD": "0"}
    for _ in range(RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *arguments], env=environment, check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def report_command() -> None:
    whole = cpu_time("-c", "import anomalib_adaptclip")
    calls = {"python -c pass": ("-c", "pass"), "anomalib-adaptclip --help": (*COMMAND, "--help")}
    calls |= {f"anomalib-adaptclip {name} --help": (*COMMAND, name, "--help") for name in COMMANDS}
    calls |= {"anomalib-adaptclip --print_shtab bash": (*COMMAND, "--print_shtab", "bash")}
    print(f"import anomalib_adaptclip: {whole:.2f} s CPU time")
    for what, arguments in calls.items():
        seconds = cpu_time(*arguments)
        print(f"{what}: {seconds:.2f} s, {seconds / whole:.3f} times that")


def report_predict() -> None:
    """Tell what each host adds to what those before it have imported, and what is left for the prediction."""
    before, names = 0.0, []
    for name in ("torch", "torchvision", "lightning.pytorch", "anomalib.data", "open_clip", "anomalib.models", PACKAGE):
        names.append(name)
        seconds = cpu_time("-c", f"import gc; gc.disable(); import {', '.join(names)}")
        print(f"import {name}: {seconds - before:+.2f} s, {seconds:.2f} s so far")
        before = seconds
    with tempfile.TemporaryDirectory() as folder:
        image = Path(folder, "image.png")
        Image.effect_noise((300, 300), 60).convert("RGB").save(image)
        whole = cpu_time(*COMMAND, "predict", str(image), str(Path(folder, "results.csv")), "--backbone", "tiny")
    print(f"anomalib-adaptclip predict, one image, tiny: {whole:.2f} s, imports are {before / whole:.0%} of it")


def main() -> None:
    report_predict()
    report_command()
    with tempfile.TemporaryDirectory() as folder:
        pythons = create_environment(Path(folder, "plain"), ()), create_environment(Path(folder, "plugin"), FILES)
        rounds = [[start_time(python) for python in pythons] for _ in range(STARTS)]
    without, with_files = (list(times) for times in zip(*rounds, strict=True))
    report(f"fastest of {STARTS} starts", min(without), min(with_files))
    report(f"median of {STARTS} starts", median(without), median(with_files))


if __name__ == "__main__":
    main()
