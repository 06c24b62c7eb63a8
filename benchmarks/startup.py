# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""What the start-up files cost each Python process: starts of a bare interpreter with and without them, in turn.

Run it with ``python benchmarks/startup.py``; it takes a few seconds and installs nothing.
"""

import compileall
import shutil
import subprocess
import sysconfig
import tempfile
import time
import venv
from pathlib import Path
from statistics import median

SOURCE = Path(__file__).parents[1] / "src"
FILES = ("anomalib_adaptclip.pth", "anomalib_adaptclip.start", "_anomalib_adaptclip_startup.py")
STARTS = 200


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


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        pythons = create_environment(Path(folder, "plain"), ()), create_environment(Path(folder, "plugin"), FILES)
        rounds = [[start_time(python) for python in pythons] for _ in range(STARTS)]
    without, with_files = (list(times) for times in zip(*rounds, strict=True))
    report(f"fastest of {STARTS} starts", min(without), min(with_files))
    report(f"median of {STARTS} starts", median(without), median(with_files))


if __name__ == "__main__":
    main()
