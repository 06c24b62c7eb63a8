# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What was run, what it cost, and what must be known to read the figures."""

import json
from collections.abc import Callable
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from .averages import Comparison, Entry
from .grids import SEEN
from .paper_figures import display_name
from .runs import Runs

LEGEND = (
    "All figures are in percent: the mean over categories within each seed, then mean and sample standard deviation "
    "over seeds. Zero-shot and full runs draw nothing, so they have one seed and no deviation. "
    "A note such as “14 of 15” marks an incomplete mean: only so many of its runs, or for an average its data sets, "
    "gave it; the others failed, were not run, or leave it undefined. Such a mean is not compared. An empty cell is "
    "undefined, or was not to be run. Bold is the best complete figure of a column among the models with the same "
    "number of shots."
)
PAPER = (
    "Below a figure stand that of the AdaptCLIP paper's Tables 1 and 2, and the difference, ours minus the paper's. "
    "Only models that are configured as in the paper have one."
)


class ModelFact(NamedTuple):
    """A model: its name, its class, its arguments, and where its adapters came from."""

    name: str
    model_class: str
    arguments: str
    adapters: str


class DataFact(NamedTuple):
    """A data set: its name, how many of its categories were run, and the seeds."""

    name: str
    categories: str
    seeds: str


class CostFact(NamedTuple):
    """What a model with a number of shots cost: seconds an image, of the fit a run, and MiB at the peak."""

    entry: Entry
    seconds: str
    fit: str
    memory: str


class Facts(NamedTuple):
    """What was run.

    Attributes:
        name: Of the sweep's folder.
        finished: Runs with figures.
        failed: Runs without, as rows of the frame.
        superseded: Rows of earlier configurations, which are left out.
        began: When the first run was through, in UTC.
        ended: When the last one was.
        devices: Where they ran.
        versions: Of the packages, more than one set where the sweep went on after an update.
        models: In order of appearance.
        data_sets: In the order of the tables.
        costs: By row of the tables.
        notes: Sentences that are needed to read the figures.
        leakage: A warning of models that were tested on what they were trained on, empty where there are none.
    """

    name: str
    finished: int
    failed: list[Any]
    superseded: int
    began: str
    ended: str
    devices: list[str]
    versions: list[str]
    models: list[ModelFact]
    data_sets: list[DataFact]
    costs: list[CostFact]
    notes: list[str]
    leakage: str


def gather_facts(runs: Runs, comparison: Comparison) -> Facts:
    """Tell what was run.

    Args:
        runs: Of the table.
        comparison: Their figures.
    """
    frame = runs.frame
    failed = frame.error != ""
    return Facts(
        name=runs.path.absolute().parent.name,
        finished=int((~failed).sum()),
        failed=[*frame[failed].itertuples()],
        superseded=runs.superseded,
        began=_date(frame.finished.min()),
        ended=_date(frame.finished.max()),
        devices=[name for name in frame.device.unique() if name],
        versions=[text for text in frame.versions.unique() if text],
        models=[_model(name, frame[frame.model == name]) for name in comparison.models],
        data_sets=[_data_set(name, comparison) for name in comparison.data_sets],
        costs=[_cost(entry, frame) for entry in comparison.entries],
        notes=[*_subset_notes(comparison), *winclip_notes(frame)],
        leakage=_leakage(frame[~failed & (frame.leakage == "yes")]),
    )


def _leakage(runs: pd.DataFrame) -> str:
    if runs.empty:
        return ""
    names = dict.fromkeys(f"{run.model} on {display_name(run.data_set)}" for run in runs.itertuples())
    return (
        f"LEAKAGE: {'; '.join(names)}: the adapters were trained on the images under test. Such figures are too good, "
        f"say nothing about new data, are marked “{SEEN}” and are compared with nothing."
    )


def _subset_notes(comparison: Comparison) -> list[str]:
    """Which averages are not of a whole data set, by the wish of the sweep."""
    notes = []
    for name in comparison.data_sets:
        if left_out := comparison.left_out(name):
            count = len(comparison.categories(name))
            notes.append(
                f"The sweep names {count} of {count + len(left_out)} categories of {display_name(name)}: averages are "
                "of those, and the paper's stand beside no average."
            )
    return notes


def winclip_notes(runs: pd.DataFrame) -> list[str]:
    """What anomalib's WinCLIP does with reference images, where a WinCLIP was run."""
    normalised, plain = (runs[runs.model_class == name].model.unique() for name in ("NormalizedWinClip", "WinClip"))
    notes = []
    if len(normalised) or len(plain):
        notes.append(
            "anomalib's own few-shot path of WinCLIP takes the reference images without normalising them, unlike the "
            "images under test."
        )
    if len(normalised):
        notes.append(f"{' and '.join(normalised)} normalises them here, as the paper of WinCLIP means it.")
    if len(plain):
        notes.append(f"{' and '.join(plain)} is anomalib's, which does not; zero-shot there is no difference.")
    if len(normalised) and len(plain):
        notes.append("The figures of both stand in the tables.")
    return notes


def _model(name: str, runs: pd.DataFrame) -> ModelFact:
    spec = runs.model_spec.iloc[-1]
    data_sets = runs[runs.adapters != ""].groupby("adapters", sort=False).data_set.unique()
    return ModelFact(
        name,
        str(spec.get("class_path", "")),
        json.dumps(spec.get("init_args") or {}, ensure_ascii=False),
        "; ".join(f"{source} on {', '.join(map(display_name, names))}" for source, names in data_sets.items()),
    )


def _data_set(name: str, comparison: Comparison) -> DataFact:
    runs = comparison.runs[comparison.runs.data_set == name]
    found, known = runs.category.nunique(), len(comparison.categories(name))
    return DataFact(
        display_name(name),
        f"{found} of {known}" if found < known else str(known),
        ", ".join(map(str, runs.seed.unique())),
    )


def _cost(entry: Entry, runs: pd.DataFrame) -> CostFact:
    own = runs[(runs.shots == entry.shots) & (runs.model == entry.model) & (runs.error == "")]
    return CostFact(
        entry,
        _text(own.seconds, fmean, ".3g"),
        _text(own.fit_seconds, fmean, ".1f"),
        _text(own.peak_memory_mb, max, ".0f"),
    )


def _text(values: pd.Series, summary: Callable[[list[float]], float], digits: str) -> str:
    known = values.dropna().tolist()
    return format(summary(known), digits) if known else ""


def _date(text: str) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC")
