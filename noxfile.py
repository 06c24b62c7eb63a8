# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""The checks, each in an environment of its own: ``nox``, or one of them with ``nox -s lint``."""

import sys
from pathlib import Path

import nox


@nox.session
def lint(session: nox.Session) -> None:
    session.install("ruff>=0.11")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    session.install("--editable", ".[dev]")
    session.run("mypy")


@nox.session
def tests(session: nox.Session) -> None:
    session.install("--editable", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session(venv_backend="none")
def open_clip_3(session: nox.Session) -> None:
    """The parity tests with open_clip 3, which anomalib's pin rules out, put before the packages that nox runs with."""
    target = str(Path(session.create_tmp()).resolve())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade", "--target", target]
    session.run(*pip, "open_clip_torch>=3,<4")
    environment = {"PYTHONPATH": target}
    check = "import open_clip; assert open_clip.__version__.startswith('3.'), open_clip.__version__"
    session.run(sys.executable, "-c", check, env=environment)
    session.run(sys.executable, "-m", "pytest", "tests/parity", *session.posargs, env=environment)
