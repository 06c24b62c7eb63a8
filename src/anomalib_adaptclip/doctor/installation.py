# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Packages and their versions, and whether anomalib loads this one."""

import os
import platform
import sys
from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

from .finding import Finding

PACKAGE = "anomalib-adaptclip"
_TOLD = ("anomalib", "torch", "torchvision", "lightning", "open_clip_torch")  # the others only if they do not fit


def examine_packages() -> Iterator[Finding]:
    """Compare installed versions with those that this package requires."""
    try:
        required = [Requirement(line) for line in metadata.requires(PACKAGE) or ()]
        yield Finding(
            "ok", f"{PACKAGE} {metadata.version(PACKAGE)}, Python {platform.python_version()}, {platform.system()}"
        )
    except metadata.PackageNotFoundError:
        yield Finding("fault", f"{PACKAGE} is not installed, only found. Install it: pip install {PACKAGE}")
        return
    needed = [one for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = {one.name: problem for one in needed if (problem := _problem(one))}
    fitting = [f"{name} {metadata.version(name)}" for name in _TOLD if name not in wrong]
    if fitting:
        yield Finding("ok", f"{', '.join(fitting)}")
    for name, problem in wrong.items():
        yield Finding("fault", f"{name}: {problem}. Install what fits: pip install --upgrade {PACKAGE}")


def _problem(required: Requirement) -> str:
    """What is wrong with an installed package; empty if nothing is."""
    try:
        found = metadata.version(required.name)
    except metadata.PackageNotFoundError:
        return f"missing, {required.specifier} is needed"
    fits = required.specifier.contains(found, prereleases=True)
    return "" if fits else f"version {found} does not fit {required.specifier}"


def examine_registration() -> Iterator[Finding]:
    """Tell whether ``anomalib train --model AdaptCLIP`` finds the model by the start-up file."""
    by_hand = "`import anomalib_adaptclip` and --model anomalib_adaptclip.AdaptCLIP do without it"
    if os.environ.get("ANOMALIB_ADAPTCLIP_AUTOLOAD") == "0":
        yield Finding("note", f"ANOMALIB_ADAPTCLIP_AUTOLOAD=0: anomalib does not load the model by itself; {by_hand}.")
    elif any(type(finder).__module__ == "_anomalib_adaptclip_startup" for finder in sys.meta_path):
        yield Finding("ok", "anomalib knows AdaptCLIP: anomalib train --model AdaptCLIP")
    else:
        yield Finding(
            "fault",
            f"The start-up file anomalib_adaptclip.pth was not read, so anomalib does not know AdaptCLIP. Reinstall: "
            f"pip install --force-reinstall --no-deps {PACKAGE}; or {by_hand}.",
        )
