# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Averages metrics over categories, seeds and data sets, in percent, and compares them with the paper's."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
import pandas as pd

from anomalib_adaptclip.comparison.evaluation import METRICS

from .paper_figures import AVERAGE, Group, Published, groups_of, known_categories, published
from .runs import ENTRY, PLACE


class Entry(NamedTuple):
    """A model with a number of shots, which is a row of the report's tables.

    Attributes:
        shots: Number of shots as text, or ``"full"``.
        model: Name of the model.
    """

    shots: str
    model: str


def over_seeds(cells: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Average over categories within each seed, then over seeds.

    Args:
        cells: A row for each metric of each expected run, with the columns ``by`` and these: ``seed``, ``value`` in
            [0, 1] or ``NaN``, ``succeeded``, whether the run has finished without an error, and ``leakage``, whether
            its model was trained on the data under test.
        by: Columns to group by.

    Returns:
        A row for each group, with these columns:

        - ``mean``, in percent, ``NaN`` without any value, and ``std``, the sample standard deviation over seeds,
          ``NaN`` with fewer than two seeds,
        - ``found`` and ``expected``, the number of values that exist and that should exist,
        - ``finished``, whether all runs succeeded, even if a metric is undefined, and ``leakage``, whether any run has
          leakage,
        - ``complete``, whether no value is missing, and ``comparable``, whether it is complete and without leakage.
    """
    by = list(by)
    seeds = cells.dropna(subset=["value"]).groupby([*by, "seed"], sort=False).value.agg(fmean) * 100
    groups = cells.groupby(by)  # sorted, because looking up in a sorted index is fast
    figures = groups.agg(
        found=("value", "count"), expected=("value", "size"), finished=("succeeded", "all"), leakage=("leakage", "any")
    )
    means = seeds.groupby(by, sort=False)
    figures.insert(0, "mean", means.agg(fmean))
    figures.insert(1, "std", means.agg(lambda values: stdev(values) if len(values) > 1 else float("nan")))
    return _with_flags(figures)


def _with_flags(figures: pd.DataFrame) -> pd.DataFrame:
    """Add the columns ``complete`` and ``comparable``: a figure with missing values or leakage is not compared."""
    complete = figures["mean"].notna() & (figures.found == figures.expected)
    return figures.assign(complete=complete, comparable=complete & ~figures.leakage)


class Comparison:
    """All averages of a sweep, for tables and plots.

    Args:
        runs: Runs as :func:`read_runs` returns them in ``frame``, at least one.

    Attributes:
        runs: The same runs.
        models: Names of the models, in order of appearance.
        data_sets: Names of the data sets, those of the paper first and in its order.
        entries: Models with their numbers of shots, zero-shot first.
        averages: Averages of data sets, with the columns of :func:`over_seeds`, by metric, data set, shots and model.
        by_category: Averages of categories, by data set, category, shots, model and metric.
        beside_paper: For each metric the averages of data sets and of their groups, whose names begin with ``AVG``, by
            name, shots and model, in the order of the report's tables. In addition to the columns of
            :func:`over_seeds` there are ``paper``, ``paper_std`` and ``difference``, ours minus the paper's, which is
            ``NaN`` if the paper has no figure or ours is not comparable.
    """

    def __init__(self, runs: pd.DataFrame) -> None:
        self.runs = runs
        self.models: list[str] = list(runs.model.unique())
        found = set(runs.data_set)
        paper = [name for metric in ("image", "pixel") for group in groups_of(metric) for name in group.data_sets]
        self.data_sets = [name for name in dict.fromkeys([*paper, *runs.data_set]) if name in found]
        self._known = {name: self._find_known(name) for name in self.data_sets}
        self._categories = {name: self._find_categories(name) for name in self.data_sets}
        self.entries = sorted(
            {Entry(*names) for names in runs[ENTRY].itertuples(index=False)},
            key=lambda entry: (shots_order(entry.shots), self.models.index(entry.model)),
        )
        self._any_run = {(run.shots, run.model, run.data_set): run for run in runs.drop_duplicates(PLACE).itertuples()}
        cells = self._cells()
        self.averages = over_seeds(cells, ["metric", "data_set", *ENTRY])
        self.by_category = over_seeds(cells, ["data_set", "category", *ENTRY, "metric"])
        self.beside_paper = {metric: self._beside_paper(metric) for metric in METRICS if self.groups(metric)}

    def _cells(self) -> pd.DataFrame:
        """Build a row for each metric of each expected run: all categories for each seed that has any run."""
        key = [*PLACE, "seed", "category"]
        wanted = pd.DataFrame(
            [(data_set, name) for data_set, names in self._categories.items() for name in names],
            columns=["data_set", "category"],
            dtype=object,
        )
        present = self.runs.drop_duplicates(key, keep="last")[[*key, *METRICS]].assign(
            succeeded=self.runs.error == "", leakage=self.runs.leakage == "yes"
        )
        cells = present[[*PLACE, "seed"]].drop_duplicates().merge(wanted, on="data_set").merge(present, "left", on=key)
        cells[["succeeded", "leakage"]] = cells[["succeeded", "leakage"]].eq(True)  # False if there is no run
        return cells.melt([*key, "succeeded", "leakage"], list(METRICS), "metric")

    def categories(self, data_set: str) -> list[str]:
        """Return the categories of a data set that the sweep asks for, or all known ones if the table names none."""
        return self._categories[data_set]

    def left_out(self, data_set: str) -> list[str]:
        """Return the categories of a data set of the paper that the sweep does not ask for."""
        return [name for name in self._known.get(data_set, []) if name not in self._categories[data_set]]

    def _find_known(self, data_set: str) -> list[str]:
        classes = self.runs[self.runs.data_set == data_set].data_class.unique()
        return list(dict.fromkeys(name for kind in classes for name in known_categories(data_set, kind)))

    def _find_categories(self, data_set: str) -> list[str]:
        runs = self.runs[self.runs.data_set == data_set]
        asked = {name for names in runs.asked for name in names}
        known = [name for name in self._known[data_set] if not asked or name in asked]
        present = [name for run in runs.itertuples() for name in (*run.asked, run.category)]
        return list(dict.fromkeys([*known, *present]))

    def entries_on(self, data_set: str) -> list[Entry]:
        """Return the models and numbers of shots that have runs on a data set."""
        return [entry for entry in self.entries if (*entry, data_set) in self._any_run]

    def groups(self, metric: str) -> list[Group]:
        """Return the groups of the sweep's data sets. Data sets that the paper lacks form a last group without a name.

        Args:
            metric: Name out of ``METRICS``.
        """
        known = {name for level in ("image", "pixel") for group in groups_of(level) for name in group.data_sets}
        others = Group("", [name for name in self.data_sets if name not in known])
        present = [
            Group(name, [one for one in members if one in self.data_sets]) for name, members in groups_of(metric)
        ]
        return [group for group in [*present, others] if group.data_sets]

    def _group_averages(self, group: Group, metric: str) -> pd.DataFrame:
        """Average a group's data sets, by shots and model. All data sets of the paper's group are expected."""
        members = next((one.data_sets for one in groups_of(metric) if one.name == group.name), group.data_sets)
        places = pd.MultiIndex.from_tuples([(name, *entry) for entry in self.entries for name in members])
        parts = self.averages.loc[metric].reindex(places.set_names(["data_set", *ENTRY]))
        flags = ["finished", "leakage", "complete"]
        parts[flags] = parts[flags].eq(True)  # False if there is no run
        groups = parts.groupby(ENTRY)
        figures = groups.agg(found=("complete", "sum"), finished=("finished", "all"), leakage=("leakage", "any"))
        means = parts["mean"].dropna().groupby(ENTRY).agg(fmean)
        return _with_flags(figures.assign(mean=means, std=float("nan"), expected=len(members)))

    def _group_figures(self, group: Group, metric: str) -> pd.DataFrame:
        """Return the averages of a group's data sets and, if it has several, of the group, by name, shots and model."""
        averages = self.averages.loc[metric]
        parts = {name: averages.loc[name] for name in group.data_sets}
        parts |= {name: self._group_averages(group, metric) for name in columns_of(group) if name not in parts}
        figures = pd.concat(parts, names=["data_set"])
        order = [(name, *entry) for entry in self.entries for name in parts]
        return figures.loc[[place for place in order if place in figures.index]]

    def _beside_paper(self, metric: str) -> pd.DataFrame:
        figures = pd.concat([self._group_figures(group, metric) for group in self.groups(metric)])
        places = [(Entry(shots, model), name.removeprefix(AVERAGE)) for name, shots, model in figures.index]
        papers = [self.published(entry, name, metric) or (None, None) for entry, name in places]
        figures[["paper", "paper_std"]] = np.array(papers, dtype=float)
        return figures.assign(difference=(figures["mean"] - figures.paper).where(figures.comparable))

    def published(self, entry: Entry, data_set: str, metric: str) -> Published | None:
        """Return the paper's figure on a data set or a group.

        Args:
            entry: Model with a number of shots.
            data_set: Name of the data set or of the group.
            metric: Name out of ``METRICS``.

        Returns:
            The figure, or None if the paper has none or the sweep leaves out categories.
        """
        members = next((group.data_sets for group in groups_of(metric) if group.name == data_set), [data_set])
        if any(map(self.left_out, members)):
            return None
        places = [(*entry, name) for name in ([data_set] if data_set in self.data_sets else self.data_sets)]
        run = next((self._any_run[place] for place in places if place in self._any_run), None)
        if run is None:
            return None
        return published(run.model_class, run.model_spec.get("init_args") or {}, run.shots, data_set, metric)

    def common_data_sets(self, metric: str) -> tuple[list[Entry], list[str]]:
        """Return the models with a complete figure, and the data sets on which all of these have one.

        Args:
            metric: Name out of ``METRICS``.
        """
        complete = self.averages.loc[metric].query("complete").reset_index()
        entries = [entry for entry in self.entries if (complete[ENTRY] == list(entry)).all(axis=1).any()]
        counts = complete.data_set.value_counts()
        return entries, [name for name in self.data_sets if entries and counts.get(name) == len(entries)]


def columns_of(group: Group) -> list[str]:
    """Return the names of a group's columns: its data sets and, if there are several, their average."""
    return [*group.data_sets, *([f"{AVERAGE}{group.name or 'others'}"] if len(group.data_sets) > 1 else [])]


def shots_order(shots: str) -> tuple[bool, int]:
    """Return a sort key that puts numbers in order and ``"full"`` last."""
    return not shots.isdigit(), int(shots) if shots.isdigit() else 0
