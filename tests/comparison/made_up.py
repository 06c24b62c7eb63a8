# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A MADE-UP table of the paper's comparison. Its figures are drawn at random: no model was run for it."""

import csv
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from anomalib_adaptclip.comparison import METRICS, RunRow
from anomalib_adaptclip.data.catalogue import categories_of_data_set, find_data_configs

DATA_SETS = (
    "mvtec", "visa", "btad", "mvtec3d", "dtd", "ksdd", "mpdd", "real-iad", "br35h", "covid", "kvasir", "endo",
)  # fmt: skip
MODELS = {
    "AdaptCLIP": ("AdaptCLIP", ("0", "1", "2", "4"), 0.90, 0.3),
    "WinCLIP": ("anomalib_adaptclip.comparison.NormalizedWinClip", ("0", "1", "2", "4"), 0.80, 1.2),
    "WinCLIP-anomalib": ("anomalib.models.WinClip", ("1", "2", "4"), 0.78, 1.2),
    "PatchCore": ("anomalib.models.Patchcore", ("1", "2", "4", "full"), 0.82, 0.1),
}
COLUMNS = [column.name for column in fields(RunRow)]
Row = dict[str, Any]


def made_up_rows(data_sets: tuple[str, ...] = DATA_SETS) -> Iterator[Row]:
    """Rows of a whole sweep, with figures out of a random generator."""
    rng = random.Random(0)  # noqa: S311
    for data_set in data_sets:
        spec = yaml.safe_load((find_data_configs() / f"{data_set}.yaml").read_text(encoding="utf-8"))
        for category in categories_of_data_set(data_set) or [""]:
            hardness = rng.uniform(-0.12, 0.05)
            for model, (class_path, shots, level, seconds) in MODELS.items():
                for number in shots:
                    for seed in ("10",) if number in {"0", "full"} else ("10", "20", "30"):
                        gain = 0.02 * {"0": 0, "1": 1, "2": 1.5, "4": 2, "full": 4}[number]
                        value = level + hardness + gain + rng.gauss(0, 0.01)
                        row = made_up_row(model, data_set, category, number, seed, class_path, spec["class_path"])
                        row |= {name: min(1.0, value - 0.3 * (name == "pixel_AP")) for name in METRICS}
                        row |= dict.fromkeys(undefined(data_set), "")
                        yield row | {"test_seconds": 100 * seconds * rng.uniform(0.9, 1.1) * (1 + 0.1 * gain)}


def undefined(data_set: str) -> list[str]:
    """Metrics that a data set cannot have: no masks, or nothing normal."""
    levels = {"br35h": "pixel", "covid": "pixel", "kvasir": "image", "endo": "image"}
    return [name for name in METRICS if name.startswith(levels.get(data_set, "none"))]


def made_up_row(
    model: str = "AdaptCLIP",
    data_set: str = "screws",
    category: str = "",
    shots: str = "0",
    seed: str = "10",
    class_path: str = "AdaptCLIP",
    data_class: str = "Folder",
    **cells: Any,
) -> Row:
    """A row, its metrics empty."""
    arguments = {"category": category} if category else {}
    configuration = {
        "model": model, "data_set": data_set, "category": category, "shots": shots, "seed": int(seed),
        "model_spec": {"class_path": class_path, **cells.pop("model_args", {})},
        "data_spec": {"class_path": data_class, "init_args": arguments}, "trainer": {}, "pixel_size": None,
        "version": cells.pop("version", "0"),
    }  # fmt: skip
    row: Row = dict.fromkeys(COLUMNS, "")
    row |= {"model": model, "data_set": data_set, "category": category, "shots": shots, "seed": seed}
    row |= {"images": "100", "prompts": "[]", "fit_seconds": "0", "test_seconds": "30", "peak_memory_mb": "4000"}
    row |= {"device": "made-up device", "finished": "2026-01-01T00:00:00+00:00", "versions": "made-up=1"}
    return row | {"configuration": json.dumps(configuration, sort_keys=True)} | cells


def write_table(path: Path, rows: Iterator[Row] | list[Row], change: Callable[[Row], Row] | None = None) -> Path:
    """Write a table, each row changed if so wanted."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(change(row) if change else row for row in rows)
    return path
