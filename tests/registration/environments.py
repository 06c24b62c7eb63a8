# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""Virtual environments to install into, and Python processes run in them."""

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src"
START_UP_FILES = ("anomalib_adaptclip.pth", "anomalib_adaptclip.start", "_anomalib_adaptclip_startup.py")


class Environment:
    """A new virtual environment without pip: the one that runs the tests installs into it.

    Args:
        root: Folder to create it in.
        dependencies: Folder whose packages it sees after its own, or None for the standard library alone.
    """

    def __init__(self, root: Path, dependencies: Path | None = None) -> None:
        venv.create(root, with_pip=False, symlinks=True)
        self.root = root
        self.python = root / "bin" / "python"
        layout = {"base": str(root), "platbase": str(root)}
        self.site_packages = Path(sysconfig.get_path("purelib", "posix_prefix", layout))
        if dependencies:
            # Start-up files in a folder that is listed this way are not run.
            (self.site_packages / "dependencies.pth").write_text(f"{dependencies}\n")

    def files(self) -> set[str]:
        """Paths of all files, relative to the root."""
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}

    def pip(self, *arguments: str) -> None:
        """Run pip on this environment, without a network."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--python", str(self.python)]
        finish([*pip, *arguments])

    def install(self, *arguments: str) -> None:
        """Install what ``arguments`` name, with the build backend that is already there."""
        self.pip("install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", *arguments)

    def run(self, code: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python code, with more environment variables if given."""
        return finish([str(self.python), "-c", code], **variables)

    def evaluate(self, code: str, **variables: str) -> Any:
        """Run code that leaves plain data in ``result``, and return that; a warning about the plugin fails."""
        finished = self.run(f"{code}\nimport json; print(json.dumps(result))", **variables)
        if "failed to load" in finished.stderr:
            raise AssertionError(finished.stderr)
        return json.loads(finished.stdout.splitlines()[-1])


def finish(command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command without the Python settings of this process; a failure shows what the command wrote."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ANOMALIB_"))}
    finished = subprocess.run(
        command, env=inherited | variables, capture_output=True, text=True, check=False, timeout=300
    )
    if finished.returncode != 0:
        message = f"{command} exited with {finished.returncode}\n{finished.stdout}\n{finished.stderr}"
        raise AssertionError(message)
    return finished


def link_dependencies(folder: Path) -> Path:
    """Fill ``folder`` with links to all installed packages, except this project's own and start-up files.

    Without that exception a copy of the plugin installed where the tests run would answer for the one under test.
    """
    folder.mkdir()
    for site_packages in map(Path, sys.path):
        if site_packages.name not in {"site-packages", "dist-packages"}:
            continue
        for entry in site_packages.iterdir():
            link = folder / entry.name
            if "anomalib_adaptclip" not in entry.name and entry.suffix != ".pth" and not link.exists():
                link.symlink_to(entry)
    return folder
