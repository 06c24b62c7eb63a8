# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``compare``, and small sweeps for it."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from anomalib_adaptclip.comparison import METRICS, RunRow, RunTable
from anomalib_adaptclip_cli.main import main

CONFIGS = Path(__file__).parents[2] / "configs" / "compare"
SMOKE = CONFIGS / "smoke.yaml"
FIGURES = ("model", "data_set", "category", "shots", "seed", "prompts", *METRICS)
WARNINGS = (  # for pytest.mark.filterwarnings: of Lightning, about models that are not optimized, and few small images
    "ignore::lightning.fabric.utilities.warnings.PossibleUserWarning",
    "ignore:`LightningModule.configure_optimizers` returned `None`:UserWarning",
    "ignore:Argument embeddings is deprecated:DeprecationWarning",  # of anomalib's PatchCore, to itself
)
Part = dict[str, Any]


def run(config: Path, output: Path, *options: str) -> tuple[int, str]:
    """The command: its exit code, and what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        code = main(["compare", "--config", str(config), "--output", str(output), "--accelerator", "cpu", *options])
    return code, printed.getvalue()


def read_runs(table: Path) -> list[RunRow]:
    """The rows of a sweep's table."""
    return RunTable(table, RunRow).rows()


def figures(output: Path) -> list[tuple[object, ...]]:
    """What must be the same however the runs are spread, in an order of its own."""
    return sorted(tuple(getattr(row, name) for name in FIGURES) for row in read_runs(output / "runs.csv"))


def smoke_models(shots: Mapping[str, Sequence[int | str]]) -> dict[str, Part]:
    """Models of the smoke sweep, with other shots."""
    models = yaml.safe_load(SMOKE.read_text())["models"]
    return {name: models[name] | {"shots": list(numbers)} for name, numbers in shots.items()}


def generated(root: Path, *categories: str) -> dict[str, Part]:
    """Generated images as in the smoke sweep."""
    entry = yaml.safe_load(SMOKE.read_text())["data_sets"]["generated"]
    entry["data"]["init_args"]["root"] = str(root)
    return {"generated": entry | {"categories": list(categories)}}


def write_sweep(
    path: Path, models: Mapping[str, Part], data_sets: Mapping[str, Part], seeds: Sequence[int] = (10,)
) -> Path:
    """Write a sweep."""
    path.write_text(
        yaml.safe_dump({"models": dict(models), "data_sets": dict(data_sets), "seeds": list(seeds)}, sort_keys=False)
    )
    return path
