# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The shape of the source: packages by concept, imports in one direction, modules and classes of a size to read."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import anomalib_adaptclip

ROOT = Path(anomalib_adaptclip.__file__).parent
# Data flows down this list. A package imports those before it, and none after it.
PACKAGES = (
    "files", "clip", "adapters", "prompts", "data", "results", "model", "metrics", "training", "paper", "comparison",
    "inspection", "app", "service", "doctor",
)  # fmt: skip
FOUNDATION = {"version", "choices", "argument_types"}  # modules of the root that every package may import
MODULES = {path: ".".join(path.relative_to(ROOT.parent).with_suffix("").parts) for path in ROOT.rglob("*.py")}


def imports(path: Path) -> set[str]:
    """Modules of the package that a module imports when it is imported itself."""
    found = set()
    package = MODULES[path].split(".")[:-1]
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES.values() else module for name in names}
    return {name for name in found if name.startswith("anomalib_adaptclip.")}


def test_the_root_has_few_modules_and_packages_by_concept() -> None:
    assert len([path for path in ROOT.glob("*.py") if path.name != "__init__.py"]) <= 6
    folders = {path.parent.relative_to(ROOT).parts[0] for path in MODULES if path.parent != ROOT}
    assert folders == set(PACKAGES)


@pytest.mark.parametrize("path", [*MODULES], ids=[*MODULES.values()])
def test_a_module_is_short_and_imports_what_comes_before_it(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") <= 350
    if path.parent == ROOT:
        return
    own = PACKAGES.index(path.relative_to(ROOT).parts[0])
    allowed = {*PACKAGES[: own + 1], *FOUNDATION}
    assert {name.split(".")[1] for name in imports(path)} <= allowed


def test_imports_have_no_circle() -> None:
    faces = {path: name for path, name in MODULES.items() if path.name != "__init__.py"}
    graph = {name: imports(path) & set(faces.values()) for path, name in faces.items()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError


def test_the_model_of_anomalib_is_glue() -> None:
    tree = ast.parse((ROOT / "model" / "lightning_model.py").read_text(encoding="utf-8"))
    [model] = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert model.name == "AdaptCLIP"
    assert sum(isinstance(node, ast.FunctionDef) for node in model.body) <= 25
    assert (model.end_lineno or 0) - model.lineno < 350
