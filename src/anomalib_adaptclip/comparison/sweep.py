# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads from YAML what a comparison runs: models x data sets x categories x shots x seeds."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from anomalib.data import AnomalibDataModule
from anomalib.models.components import AnomalibModule
from lightning.pytorch import Trainer

from anomalib_adaptclip.argument_types import require_types
from anomalib_adaptclip.data.catalogue import data_set_names, read_data_spec
from anomalib_adaptclip.data.data_source import listed_categories
from anomalib_adaptclip.files.config import ClassSpec, read_config
from anomalib_adaptclip.version import __version__

from .components import class_of, is_zero_shot, takes
from .file_contents import hash_files

FULL = "full"  # given in place of a number of shots, it means the whole train split
Shots = int | str
_UNIMPORTANT = ("num_workers",)  # arguments that do not change the metrics
_TAKEN = ("accelerator", "devices", "num_nodes", "strategy")  # arguments of the trainer that the sweep sets
_MAX_SEED = 2**32 - 1  # Lightning's largest seed


@dataclass
class ModelEntry:
    """A model of a sweep.

    Attributes:
        model: Class and arguments of the model.
        shots: Numbers of normal images that the model sees, or ``"full"``. An empty list switches the model off.
        trainer: Arguments of Lightning's trainer.
    """

    model: ClassSpec
    shots: list[int | str]
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass
class DataEntry:
    """A data set of a sweep.

    Attributes:
        data: Data module and its arguments. By default they are read from the file of the same name in
            ``configs/data``.
        init_args: Arguments of the data module that override those, such as ``root``.
        categories: Categories to run. By default all are run.
        pixel_size: Height and width at which pixels are counted. By default the model's input size is used.
    """

    data: ClassSpec | None = None
    init_args: dict[str, Any] = field(default_factory=dict)
    categories: list[str] | None = None
    pixel_size: int | None = None


@dataclass
class Sweep:
    """Content of the configuration file of a comparison.

    Attributes:
        models: Models by name.
        data_sets: Data sets by name.
        seeds: Seeds for drawing the normal images. Zero-shot and full runs, which draw none, use only the first.
        gallery: Whether to keep pictures for the report: the same images of all models, and of AdaptCLIP its best,
            median and worst maps.
    """

    models: dict[str, ModelEntry]
    data_sets: dict[str, DataEntry]
    seeds: list[int] = field(default_factory=lambda: [10, 20, 30])
    gallery: bool = True


class Run(NamedTuple):
    """A run of a model on a category, which gives one row of the table.

    Attributes:
        model: Name of the model.
        data_set: Name of the data set.
        category: Name of the category, empty if the data set has none.
        shots: Number of normal images that the model sees, or ``"full"``.
        seed: Seed for drawing the normal images, and for everything else that is random.
        model_spec: Class and arguments of the model.
        data_spec: Class and arguments of the data module, including the category.
        trainer: Arguments of Lightning's trainer.
        pixel_size: Height and width at which pixels are counted, or None for the model's input size.
        gallery: Whether to keep pictures.
        categories: All categories of the data set that the sweep asks for, empty if it has none.
    """

    model: str
    data_set: str
    category: str
    shots: Shots
    seed: int
    model_spec: ClassSpec
    data_spec: ClassSpec
    trainer: dict[str, Any]
    pixel_size: int | None
    gallery: bool = False
    categories: tuple[str, ...] = ()

    @property
    def configuration(self) -> str:
        """All settings that the metrics depend on, as JSON. A finished run with the same ones is not run again."""
        model, data = asdict(self.model_spec), asdict(self.data_spec)
        data["init_args"] = {name: value for name, value in data["init_args"].items() if name not in _UNIMPORTANT}
        parts = self._asdict() | {"model_spec": model, "data_spec": data, "version": __version__}
        parts["files"] = hash_files(model["init_args"])
        del parts["gallery"], parts["categories"]
        return json.dumps(parts, sort_keys=True, default=str)

    def __str__(self) -> str:
        """Describe the run for logs and messages."""
        return in_words(self.model, self.data_set, self.category, self.shots)


def in_words(model: str, data_set: str, category: str, shots: int | str) -> str:
    """Describe a run for logs and messages.

    Args:
        model: Name of the model.
        data_set: Name of the data set.
        category: Name of the category, empty if there is none.
        shots: Number of shots, or ``"full"``.

    Returns:
        Text such as ``"PatchCore on MVTecAD bottle, 2 shots"``.
    """
    how = {"0": "zero-shot", "1": "1 shot", FULL: FULL}.get(str(shots), f"{shots} shots")
    return f"{model} on {' '.join(filter(None, (data_set, category)))}, {how}"


def read_sweep(path: Path, overrides: Sequence[str] = ()) -> Sweep:
    """Read the configuration file of a sweep.

    Args:
        path: YAML file with ``models``, ``data_sets`` and optionally ``seeds`` and ``gallery``.
        overrides: Values that override those of the file, such as ``"seeds=[10]"``.

    Returns:
        The sweep.

    Raises:
        ValueError: If the file or an override cannot be understood.
        FileNotFoundError: If there is no such file.
    """
    require_types(read_sweep, locals())
    return read_config(path, Sweep, overrides, _problems)


def _problems(sweep: Sweep) -> Iterator[tuple[str, str]]:
    """Find values that are of the right type, but with which nothing can be run: their key, and what is wrong."""
    models, data_sets, seeds = sweep.models, sweep.data_sets, sweep.seeds
    if not (any(entry.shots for entry in models.values()) and data_sets and seeds):
        shots = [entry.shots for entry in models.values()]
        found = f"{len(models)} models with the shots {shots}, {len(data_sets)} data sets and the seeds {seeds}"
        yield "", f"names {found}. Give some"
    if wrong := [seed for seed in seeds if not 0 <= seed <= _MAX_SEED]:
        yield "seeds", f"must be from 0 to {_MAX_SEED}, got {wrong[0]}"
    lists: dict[str, Sequence[Shots]] = {"seeds": seeds}
    lists |= {f"models.{name}.shots": entry.shots for name, entry in models.items()}
    lists |= {f"data_sets.{name}.categories": entry.categories or [] for name, entry in data_sets.items()}
    for key, values in lists.items():
        if len({*values}) < len(values):
            yield key, f"names something twice, got {values}. Leave one out"
    for name, entry in models.items():
        if wrong_shots := [
            shots for shots in entry.shots if shots != FULL and not (isinstance(shots, int) and shots >= 0)
        ]:
            yield f"models.{name}.shots", f"must be numbers from 0, or full, got {wrong_shots[0]!r}"
        if unknown := [key for key in entry.trainer if key not in signature(Trainer).parameters]:
            yield f"models.{name}.trainer.{unknown[0]}", "is no argument of Lightning's trainer. Correct or remove it"
        if taken := [key for key in _TAKEN if key in entry.trainer]:
            yield (
                f"models.{name}.trainer.{taken[0]}",
                "must not be given: a run has one device, which the sweep chooses. Give --accelerator or --workers",
            )
    for name, data in data_sets.items():
        yield from ((f"data_sets.{name}{key}", problem) for key, problem in _data_problems(name, data))


def _data_problems(name: str, entry: DataEntry) -> Iterator[tuple[str, str]]:
    if entry.data is None and name not in data_set_names():
        known = ", ".join(data_set_names())
        yield "", f"is not a data set of the paper. Choose among {known}, or describe another one with `data`"
    if entry.categories == []:
        yield ".categories", "is empty. Name some, or leave the key out for all"
    if entry.pixel_size is not None and entry.pixel_size < 1:
        yield ".pixel_size", f"must be at least 1, got {entry.pixel_size}"
    if "category" in {**entry.init_args, **(entry.data.init_args if entry.data else {})}:
        yield ".init_args", "must not have a category, which the sweep sets. Write `categories: [...]` beside them"


def list_runs(sweep: Sweep) -> list[Run]:
    """List all runs of a sweep, one data set after the other, so that an interrupted sweep already allows comparisons.

    A data set without normal images has no runs with full shots, because its train split is its test split.

    Args:
        sweep: Content of the configuration file.

    Raises:
        ValueError: If a model, a data set, a category or an argument does not exist, or a model cannot have its shots.
    """
    for name, entry in sweep.models.items():
        _require_shots(name, entry)
    return [
        Run(
            model,
            data_set,
            category,
            shots,
            seed,
            entry.model,
            spec,
            entry.trainer,
            data.pixel_size,
            gallery=sweep.gallery and (shots, seed) == (_pictured_shots(entry), sweep.seeds[0]),
            categories=tuple(name for name, _ in places if name),
        )
        for data_set, data in sweep.data_sets.items()
        for places in [list(_categories(data_set, data))]
        for category, spec in places
        for model, entry in sweep.models.items()
        for shots in entry.shots
        if shots != FULL or has_normal_images(spec)
        for seed in (sweep.seeds[:1] if shots in {0, FULL} else sweep.seeds)
    ]


def _pictured_shots(entry: ModelEntry) -> Shots | None:
    """Return the number of shots whose runs keep pictures: the smallest one that has a prompt to show, else any."""
    numbers = [shots for shots in entry.shots if isinstance(shots, int)]
    return min([shots for shots in numbers if shots] or numbers, default=next(iter(entry.shots), None))


def has_normal_images(data_spec: ClassSpec) -> bool:
    """Tell whether a data set has normal images to train on, which it lacks if its prompts are abnormal images.

    Args:
        data_spec: Class and arguments of the data module.
    """
    return not getattr(class_of(AnomalibDataModule, data_spec), "prompts_are_abnormal", False)  # type: ignore[type-abstract]


def _require_shots(name: str, entry: ModelEntry) -> None:
    model_class = class_of(AnomalibModule, entry.model)  # type: ignore[type-abstract]
    few_shot = takes(model_class, "k_shot")
    if is_zero_shot(model_class):
        expected, wrong = "[0], for it sees no normal images", [shots for shots in entry.shots if shots != 0]
    elif few_shot:
        expected, wrong = "a list of numbers from 0", [shots for shots in entry.shots if shots == FULL]
    else:
        expected, wrong = "a list of numbers from 1, or full", [shots for shots in entry.shots if shots == 0]
    if wrong:
        msg = f"{name} cannot have the shots {entry.shots}. It takes {expected}."
        raise ValueError(msg)
    if few_shot and (given := {"k_shot", "seed"} & entry.model.init_args.keys()):
        msg = f"{name} has the init_args {sorted(given)}, which the sweep sets. Write `shots` and `seeds` instead."
        raise ValueError(msg)


def _categories(name: str, entry: DataEntry) -> Iterator[tuple[str, ClassSpec]]:
    """Yield the categories of a data set, each with the class and arguments of its data module."""
    spec = entry.data or read_data_spec(name)
    module_class = class_of(AnomalibDataModule, spec)  # type: ignore[type-abstract]
    arguments = spec.init_args | entry.init_args
    if takes(module_class, "val_split_mode"):  # else several classes remove the validation split from the test split
        arguments = {"val_split_mode": "same_as_test"} | arguments
    if not takes(module_class, "category"):
        if entry.categories:
            msg = f"{name} has no categories, got {entry.categories}. Leave `categories` out."
            raise ValueError(msg)
        yield "", ClassSpec(spec.class_path, arguments)
        return
    listed = listed_categories(module_class)
    categories = entry.categories or listed
    if not categories:
        msg = f"The categories of {name} are not known. Name them: `categories: [...]`."
        raise ValueError(msg)
    _require_categories(name, categories, listed, arguments.get("root"))
    for category in categories:
        yield category, ClassSpec(spec.class_path, arguments | {"category": category})


def _require_categories(name: str, categories: list[str], listed: list[str], root: Path | str | None) -> None:
    """Check the names of categories, because anomalib would download a data set again if a category does not exist."""
    if root is None or not listed:
        return
    layouts = Path(root), Path(root) / "visa_pytorch"
    unknown = [category for category in categories if category not in listed]
    if absent := [category for category in unknown if not any((folder / category).is_dir() for folder in layouts)]:
        msg = (
            f"{name} has no categories {absent}, and {root} has no folders of that name. Choose among "
            f"{', '.join(listed)}."
        )
        raise ValueError(msg)
