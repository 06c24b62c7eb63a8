# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0
"""The checks, each in an environment of its own: ``nox``, or one of them with ``nox -s lint``."""

import shutil
import sys
import zipfile
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


@nox.session(python=["3.10", "3.12", "3.13"])
def other_pythons(session: nox.Session) -> None:
    """The whole suite on the other versions of Python: by hand, before a release."""
    session.install("--editable", ".[test]")
    session.run("pytest", *session.posargs)


# What a wheel must hold beside the modules, or a bare install lacks it without a word.
SHIPPED = (
    "anomalib_adaptclip.pth",
    "anomalib_adaptclip.start",
    "_anomalib_adaptclip_startup.py",
    "anomalib_adaptclip/py.typed",
    "anomalib_adaptclip/tiny/backbone.safetensors",
    "anomalib_adaptclip/tiny/adapters.safetensors",
    "anomalib_adaptclip/tiny/MODEL_CARD.md",
    "anomalib_adaptclip_cli/main.py",
)
# In the new environment: the model is known to anomalib with nothing imported by hand, and judges an image.
TRY_OUT = """
from anomalib.models import get_model
import anomalib_adaptclip, torch
model = get_model("AdaptCLIP", backbone="tiny")
score = anomalib_adaptclip.AdaptCLIPPredictor(model)(torch.rand(1, 3, 224, 224)).pred_score
assert 0 <= float(score) <= 1, score
print(anomalib_adaptclip.__file__, anomalib_adaptclip.__version__, float(score))
"""


@nox.session
def release(session: nox.Session) -> None:
    """Build what would be uploaded into ``dist/``, check it, try the wheel out in this new environment, and stop."""
    dist = Path("dist")
    shutil.rmtree(dist, ignore_errors=True)
    session.install("build>=1.2", "twine>=6", "check-wheel-contents>=0.6")
    session.run("python", "-m", "build", "--outdir", str(dist))
    session.run("twine", "check", "--strict", *map(str, dist.iterdir()))
    [wheel], [sdist] = dist.glob("*.whl"), dist.glob("*.tar.gz")
    session.run("check-wheel-contents", "--ignore", "W003,W009", str(wheel))  # meant: two packages, start-up files
    names = {*zipfile.ZipFile(wheel).namelist()}
    missing = [name for name in SHIPPED if name not in names]
    strangers = [name for name in names if name.startswith(("tests/", "scripts/", "benchmarks/"))]
    if missing or strangers:
        session.error(f"{wheel} lacks {missing} and should not hold {strangers}.")
    session.install(str(wheel))
    away = session.create_tmp()  # no checkout lies here to be imported in place of the wheel
    with session.chdir(away):
        session.run("python", "-c", TRY_OUT)
        session.run("anomalib-adaptclip", "doctor")
    session.log(f"{wheel} and {sdist} are ready. Nothing was uploaded.")


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
