# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Gathers what was run, what it cost, and what a reader must know to understand the figures."""

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
    "All figures are in percent: metrics are averaged over the categories within each seed, then the mean and the "
    "sample standard deviation over seeds are given. Zero-shot and full runs draw no images, so they have one seed and "
    "no deviation. A note such as “14 of 15” marks an incomplete average: only 14 of its 15 runs, or data sets for the "
    "average of a group, have a figure; the others failed, were not run, or have an undefined metric. Incomplete "
    "averages are not compared. The figure of an empty cell is undefined, or was not part of the sweep. Bold marks the "
    "best complete figure of a column among the models with the same number of shots."
)
PAPER = (
    "Below a figure stand that of Tables 1 and 2 of the AdaptCLIP paper, and the difference, ours minus the paper's. "
    "Both are given only for models that are configured as in the paper."
)


class ModelFact(NamedTuple):
    """A row of the report's table of models.

    Attributes:
        name: Name of the model.
        model_class: Dotted path of the model's class.
        arguments: Arguments of the model, as JSON.
        adapters: Sources of its adapters and the data sets they were used on, empty for models without adapters.
    """

    name: str
    model_class: str
    arguments: str
    adapters: str


class DataFact(NamedTuple):
    """A row of the report's table of data sets.

    Attributes:
        name: Name of the data set.
        categories: Number of categories that were run, such as ``"14 of 15"`` if some are missing.
        seeds: Seeds that were run, separated by commas.
    """

    name: str
    categories: str
    seeds: str


class CostFact(NamedTuple):
    """A row of the report's table of costs.

    Attributes:
        entry: Model and number of shots.
        seconds: Seconds of the test per image, averaged over runs.
        fit: Seconds of the fit per run, averaged over runs.
        memory: Peak memory of all runs in MiB.
    """

    entry: Entry
    seconds: str
    fit: str
    memory: str


class Facts(NamedTuple):
    """All that the report says about a sweep apart from the metrics.

    Attributes:
        name: Name of the sweep's folder.
        finished: Number of runs that finished.
        failed: Runs that failed, as rows of the frame.
        superseded: Number of rows of earlier configurations, which are left out.
        began: Time when the first run finished, in UTC.
        ended: Time when the last run finished, in UTC.
        devices: Names of the devices that were used.
        versions: Versions of the packages, more than one set if the sweep was continued after an update.
        models: Models in order of appearance.
        data_sets: Data sets in the order of the tables.
        costs: Costs by row of the tables.
        notes: Sentences that are needed to understand the figures.
        leakage: Warning of models that were tested on their training data, empty if there are none.
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
    """Gather the facts of a sweep.

    Args:
        runs: Runs of the table.
        comparison: Averages of these runs.
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
        f"LEAKAGE: {'; '.join(names)}: the adapters were trained on the images under test. Such figures are too high "
        f"and say nothing about new data. They are marked “{SEEN}” and are not compared."
    )


def _subset_notes(comparison: Comparison) -> list[str]:
    """Say which averages do not cover a whole data set, because the sweep names only some of its categories."""
    notes = []
    for name in comparison.data_sets:
        if left_out := comparison.left_out(name):
            count = len(comparison.categories(name))
            notes.append(
                f"The sweep names {count} of {count + len(left_out)} categories of {display_name(name)}: averages are "
                "over only those, so they are not shown beside the paper's."
            )
    return notes


def winclip_notes(runs: pd.DataFrame) -> list[str]:
    """Say how anomalib's WinCLIP treats reference images, if a WinCLIP was run.

    Args:
        runs: Frame of runs.

    Returns:
        Sentences, none if no WinCLIP was run.
    """
    normalised, plain = (runs[runs.model_class == name].model.unique() for name in ("NormalizedWinClip", "WinClip"))
    notes = []
    if len(normalised) or len(plain):
        notes.append(
            "anomalib's own few-shot path of WinCLIP takes the reference images without normalising them, unlike the "
            "images under test."
        )
    if len(normalised):
        notes.append(f"{' and '.join(normalised)} normalises them here, as the WinCLIP paper intends.")
    if len(plain):
        notes.append(f"{' and '.join(plain)} is anomalib's, which does not. Zero-shot figures do not differ.")
    if len(normalised) and len(plain):
        notes.append("The tables show the figures of both.")
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
