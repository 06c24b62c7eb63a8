# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What was run, what it cost, and what must be known to read the figures."""

import json
from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import NamedTuple

from .averages import Comparison, Entry
from .grids import SEEN
from .published import display_name
from .runs import Result, Results, distinct

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
        failed: Runs without.
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
    failed: list[Result]
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


def gather_facts(results: Results, comparison: Comparison) -> Facts:
    """Tell what was run.

    Args:
        results: Table.
        comparison: Its figures.
    """
    runs = results.runs
    dates = sorted(run.row["finished"] for run in runs)
    return Facts(
        name=results.path.absolute().parent.name,
        finished=sum(not run.error for run in runs),
        failed=[run for run in runs if run.error],
        superseded=len(results.superseded),
        began=_date(dates[0]),
        ended=_date(dates[-1]),
        devices=_filled(run.row["device"] for run in runs),
        versions=_filled(run.row["versions"] for run in runs),
        models=[_model(name, [run for run in runs if run.model == name]) for name in comparison.models],
        data_sets=[_data_set(name, comparison) for name in comparison.data_sets],
        costs=[_cost(entry, runs) for entry in comparison.entries],
        notes=[*_subset_notes(comparison), *winclip_notes(runs)],
        leakage=_leakage(runs),
    )


def _leakage(runs: Sequence[Result]) -> str:
    names = distinct(f"{run.model} on {display_name(run.data_set)}" for run in runs if run.leakage and not run.error)
    if not names:
        return ""
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


def winclip_notes(runs: Sequence[Result]) -> list[str]:
    """What anomalib's WinCLIP does with reference images, where a WinCLIP was run."""
    normalised = distinct(run.model for run in runs if run.model_class == "NormalizedWinClip")
    plain = distinct(run.model for run in runs if run.model_class == "WinClip")
    notes = []
    if normalised or plain:
        notes.append(
            "anomalib's own few-shot path of WinCLIP takes the reference images without normalising them, unlike the "
            "images under test."
        )
    if normalised:
        notes.append(f"{' and '.join(normalised)} normalises them here, as the paper of WinCLIP means it.")
    if plain:
        notes.append(f"{' and '.join(plain)} is anomalib's, which does not; zero-shot there is no difference.")
    if normalised and plain:
        notes.append("The figures of both stand in the tables.")
    return notes


def _model(name: str, runs: Sequence[Result]) -> ModelFact:
    spec = runs[-1].model_spec
    adapters: dict[str, list[str]] = {}
    for run in runs:
        if run.row["adapters"]:
            adapters.setdefault(run.row["adapters"], []).append(display_name(run.data_set))
    return ModelFact(
        name,
        str(spec.get("class_path", "")),
        json.dumps(spec.get("init_args") or {}, ensure_ascii=False),
        "; ".join(f"{source} on {', '.join(distinct(names))}" for source, names in adapters.items()),
    )


def _data_set(name: str, comparison: Comparison) -> DataFact:
    runs = [run for run in comparison.runs if run.data_set == name]
    found, known = {run.category for run in runs}, comparison.categories(name)
    return DataFact(
        display_name(name),
        f"{len(found)} of {len(known)}" if len(found) < len(known) else str(len(known)),
        ", ".join(distinct(run.seed for run in runs)),
    )


def _cost(entry: Entry, runs: Sequence[Result]) -> CostFact:
    own = [run for run in runs if (run.shots, run.model) == (entry.shots, entry.model) and not run.error]
    seconds = [run.seconds for run in own if run.seconds is not None]
    fits = [float(run.row["fit_seconds"]) for run in own if run.row["fit_seconds"]]
    memory = [float(run.row["peak_memory_mb"]) for run in own if run.row["peak_memory_mb"]]
    return CostFact(
        entry,
        f"{fmean(seconds):.3g}" if seconds else "",
        f"{fmean(fits):.1f}" if fits else "",
        f"{max(memory):.0f}" if memory else "",
    )


def _date(text: str) -> str:
    return text.replace("T", " ").replace("+00:00", " UTC")


def _filled(values: Iterable[str]) -> list[str]:
    return [value for value in distinct(values) if value]
