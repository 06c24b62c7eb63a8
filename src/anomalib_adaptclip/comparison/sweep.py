# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What a comparison runs: models x data sets x categories x shots x seeds, read from YAML."""

import json
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml
from anomalib.data import AnomalibDataModule
from anomalib.models.components import AnomalibModule

from anomalib_adaptclip.data.catalogue import data_set_names, find_data_configs
from anomalib_adaptclip.data.data_source import listed_categories
from anomalib_adaptclip.version import __version__

from .components import Spec, class_of, takes

Shots = int | Literal["full"]
_UNIMPORTANT = ("num_workers",)  # arguments that no figure depends on


@dataclass
class ModelEntry:
    """A model of a sweep.

    Attributes:
        model: ``class_path`` and ``init_args``, as in anomalib's YAML.
        shots: Normal images that it sees; ``"full"`` is the whole train split.
        trainer: Arguments of Lightning's trainer.
    """

    model: dict[str, Any]
    shots: list[Shots]
    trainer: dict[str, Any] = field(default_factory=dict)


@dataclass
class DataEntry:
    """A data set of a sweep.

    Attributes:
        data: ``class_path`` and ``init_args``. By default those of the file of that name in ``configs/data``.
        init_args: Arguments that win over those, such as ``root``.
        categories: Categories to run, all by default.
        pixel_size: Height and width at which pixels are counted, the model's by default.
    """

    data: dict[str, Any] | None = None
    init_args: dict[str, Any] = field(default_factory=dict)
    categories: list[str] | None = None
    pixel_size: int | None = None


@dataclass
class Sweep:
    """A comparison.

    Attributes:
        models: By name.
        data_sets: By name.
        seeds: Of the draws of normal images. Without a draw, zero-shot and full, the first alone is run.
        gallery: Whether to keep pictures of AdaptCLIP's best, median and worst maps, for the report.
    """

    models: dict[str, ModelEntry]
    data_sets: dict[str, DataEntry]
    seeds: list[int] = field(default_factory=lambda: [10, 20, 30])
    gallery: bool = True


_SECTIONS: dict[str, type[Any]] = {"models": ModelEntry, "data_sets": DataEntry}


class Run(NamedTuple):
    """A model on a category: one row of the table.

    Attributes:
        model: Name of the model.
        data_set: Name of the data set.
        category: Name of the category, empty where there are none.
        shots: Normal images that the model sees.
        seed: Of the draw, and of all else that is random.
        model_spec: Class and arguments of the model.
        data_spec: Class and arguments of the data module, the category among them.
        trainer: Arguments of Lightning's trainer.
        pixel_size: Height and width at which pixels are counted.
        gallery: Whether to keep pictures, if the model is an AdaptCLIP.
        categories: All categories of the data set that the sweep asks for, none where there are none.
    """

    model: str
    data_set: str
    category: str
    shots: Shots
    seed: int
    model_spec: Spec
    data_spec: Spec
    trainer: dict[str, Any]
    pixel_size: int | None
    gallery: bool = False
    categories: tuple[str, ...] = ()

    @property
    def configuration(self) -> str:
        """What the figures depend on, as JSON: a finished run with the same need not be run again."""
        data = {name: value for name, value in self.data_spec["init_args"].items() if name not in _UNIMPORTANT}
        parts = self._asdict() | {"data_spec": self.data_spec | {"init_args": data}, "version": __version__}
        del parts["gallery"], parts["categories"]
        return json.dumps(parts, sort_keys=True, default=str)

    def __str__(self) -> str:
        """For logs and messages."""
        return in_words(self.model, self.data_set, self.category, self.shots)


def in_words(model: str, data_set: str, category: str, shots: int | str) -> str:
    """A run for logs and messages, such as ``"PatchCore on MVTecAD bottle, 2 shots"``."""
    how = {"0": "zero-shot", "1": "1 shot", "full": "full"}.get(str(shots), f"{shots} shots")
    return f"{model} on {' '.join(filter(None, (data_set, category)))}, {how}"


def read_sweep(path: Path) -> Sweep:
    """Read a sweep.

    Args:
        path: YAML file with ``models``, ``data_sets`` and perhaps ``seeds``.

    Returns:
        The sweep.

    Raises:
        ValueError: If the file cannot be understood.
        FileNotFoundError: If there is no such file.
    """
    if not path.is_file():
        msg = f"There is no file {path}."
        raise FileNotFoundError(msg)
    content = _read_yaml(path)
    _require_keys(path, Sweep, content)
    models, data_sets = (_read_entries(path, content, name, kind) for name, kind in _SECTIONS.items())
    sweep = Sweep(**content | {"models": models, "data_sets": data_sets})
    seeds = sweep.seeds if type(sweep.seeds) is list else []
    if not (models and data_sets and seeds and all(type(seed) is int for seed in seeds)):
        msg = f"{path} names {len(models)} models, {len(data_sets)} data sets and the seeds {sweep.seeds}. Give some."
        raise ValueError(msg)
    if sweep.gallery not in [True, False]:
        msg = f"{path}: gallery must be true or false, got {sweep.gallery!r}."
        raise ValueError(msg)
    return sweep


def _read_entries(path: Path, content: dict[str, Any], section: str, kind: type[Any]) -> dict[str, Any]:
    entries = content[section]
    if not isinstance(entries, dict):
        msg = f"{path}{_line(path, section)}: {section} should hold entries by name, got {entries!r}."
        raise ValueError(msg)  # noqa: TRY004  # the file is wrong
    for name, entry in entries.items():
        _require_keys(path, kind, entry, section, name)
    return {name: kind(**entry) for name, entry in entries.items()}


def _require_keys(path: Path, kind: type[Any], content: Any, *place: str) -> None:  # noqa: ANN401
    """Check that a part of a sweep has the keys that it may have and must have."""
    what = " ".join(map(str, place)) or "the sweep"
    allowed = [one.name for one in fields(kind)]
    expected = f"{what} should hold keys out of {', '.join(allowed)}, as in configs/compare"
    if not isinstance(content, dict):
        msg = f"{path}{_line(path, *place)}: {expected}; got {content!r}."
        raise ValueError(msg)  # noqa: TRY004  # the file is wrong
    if unknown := [key for key in content if key not in allowed]:
        msg = f"{path}{_line(path, *place, unknown[0])}: {expected}; there is no key {unknown[0]!r}."
        raise ValueError(msg)
    needed = [one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING]
    if lacking := [key for key in needed if key not in content]:
        msg = f"{path}{_line(path, *place)}: {expected}; {' and '.join(lacking)} must be given."
        raise ValueError(msg)


def _line(path: Path, *place: Any) -> str:  # noqa: ANN401
    """Where in a YAML file a key is, for messages; empty for the whole file."""
    node, line = yaml.compose(path.read_text(encoding="utf-8")), ""
    for wanted in place:
        for key, value in node.value:
            if key.value == str(wanted):
                node, line = value, f", line {key.start_mark.line + 1}"
                break
    return line


def list_runs(sweep: Sweep) -> list[Run]:
    """All runs, data set by data set, so that a broken-off sweep can be compared early.

    A data set that shows nothing normal has no runs on its whole train split, for that is the test split.

    Raises:
        ValueError: If a model, a data set, a category or arguments do not exist, or shots and model do not go together.
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
        if shots != "full" or has_normal_images(spec)
        for seed in (sweep.seeds[:1] if shots in {0, "full"} else sweep.seeds)
    ]


def _pictured_shots(entry: ModelEntry) -> Shots | None:
    """Of a model's numbers of shots the one with pictures: the fewest that have a prompt to show."""
    numbers = [shots for shots in entry.shots if shots != "full"]
    return min([shots for shots in numbers if shots] or numbers, default=None)


def has_normal_images(data_spec: Spec) -> bool:
    """Whether there is anything normal to train on, as there is not where prompts are abnormal."""
    return not getattr(class_of(AnomalibDataModule, data_spec), "prompts_are_abnormal", False)  # type: ignore[type-abstract]


def _require_shots(name: str, entry: ModelEntry) -> None:
    few_shot = takes(class_of(AnomalibModule, entry.model), "k_shot")
    least, words = (0, ()) if few_shot else (1, ("full",))
    given = entry.shots if type(entry.shots) is list else []
    known = [shots for shots in given if shots in words or (type(shots) is int and shots >= least)]
    if known != entry.shots:
        expected = "numbers from 0" if few_shot else "numbers from 1, or full"
        msg = f"{name} cannot have the shots {entry.shots}. It takes a list of {expected}."
        raise ValueError(msg)


def _categories(name: str, entry: DataEntry) -> Iterator[tuple[str, Spec]]:
    """Categories of a data set, with what builds each."""
    spec = entry.data or _read_spec(name)
    module_class = class_of(AnomalibDataModule, spec)  # type: ignore[type-abstract]
    arguments = {**spec.get("init_args", {}), **entry.init_args}
    if takes(module_class, "val_split_mode"):  # several classes take the validation split out of the test split
        arguments = {"val_split_mode": "same_as_test"} | arguments
    if not takes(module_class, "category"):
        yield "", {"class_path": spec["class_path"], "init_args": arguments}
        return
    listed = listed_categories(module_class)
    categories = entry.categories or listed
    if not categories:
        msg = f"The categories of {name} are not known. Name them: `categories: [...]`."
        raise ValueError(msg)
    _require_categories(name, categories, listed, arguments.get("root"))
    for category in categories:
        yield category, {"class_path": spec["class_path"], "init_args": arguments | {"category": category}}


def _require_categories(name: str, categories: list[str], listed: list[str], root: Path | str | None) -> None:
    """Check names of categories. anomalib would download a data set again in search of one that does not exist."""
    if not (type(categories) is list and all(type(category) is str for category in categories)):
        msg = f"The categories of {name} should be a list of names, with quotes around numbers; got {categories!r}."
        raise ValueError(msg)
    if root is None or not listed:
        return
    layouts = Path(root), Path(root) / "visa_pytorch"
    unknown = [category for category in categories if category not in listed]
    if absent := [category for category in unknown if not any((folder / category).is_dir() for folder in layouts)]:
        msg = f"{name} has no categories {absent}, and {root} no folders of that name; there are {', '.join(listed)}."
        raise ValueError(msg)


def _read_spec(name: str) -> Spec:
    """Class and arguments of a data set of the paper."""
    if name not in data_set_names():
        msg = f"There is no data set {name!r}; there are {', '.join(data_set_names())}. Others need `data`."
        raise ValueError(msg)
    return _read_yaml(find_data_configs() / f"{name}.yaml")


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        msg = f"{path}{where}: this should be YAML: {error.problem or error.context}. Correct it."
        raise ValueError(msg) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        msg = f"{path} should be YAML: {error}. Correct it, or name another file."
        raise ValueError(msg) from error
    return content
