# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Means over categories, seeds and data sets. All in percent."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

from .published import Group, Published, groups_of, known_categories, published
from .runs import Result, distinct


class Figure(NamedTuple):
    """A mean.

    Attributes:
        mean: In percent, None where there is nothing to average.
        std: Standard deviation over seeds, None with fewer than two.
        found: Parts of the mean that there are: runs, or for groups data sets.
        expected: Parts that it should have.
        finished: Whether every run that it depends on is through, perhaps with an undefined metric.
        leakage: Whether a run that it depends on is of a model that was trained on what it was tested on.
    """

    mean: float | None
    std: float | None
    found: int
    expected: int
    finished: bool = True
    leakage: bool = False

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.mean is not None and self.found == self.expected

    @property
    def comparable(self) -> bool:
        """Whether it may be set against others: nothing is missing, and nothing was seen in training."""
        return self.complete and not self.leakage


class Entry(NamedTuple):
    """A model with a number of shots: a row of the report's tables."""

    shots: str
    model: str


def over_seeds(values: Sequence[Sequence[float | None]], finished: bool = True) -> Figure:
    """Average over categories within each seed, then over seeds.

    Args:
        values: In [0, 1], by seed and category. None for what is missing; it counts as nothing.
        finished: Whether all those runs are through.

    Returns:
        Mean, and standard deviation of a sample.
    """
    known = [[value for value in seed if value is not None] for seed in values]
    means = [100 * fmean(seed) for seed in known if seed]
    return Figure(
        mean=fmean(means) if means else None,
        std=stdev(means) if len(means) > 1 else None,
        found=sum(map(len, known)),
        expected=sum(map(len, values)),
        finished=finished,
    )


class Comparison:
    """Figures of a sweep.

    Args:
        runs: Of the sweep, at least one.

    Attributes:
        models: Names, in order of appearance.
        data_sets: Names, those of the paper first and in its order.
        entries: Models with their numbers of shots, zero-shot first.
    """

    def __init__(self, runs: Sequence[Result]) -> None:
        self.runs = list(runs)
        self._by_place: dict[tuple[str, str, str], dict[tuple[str, str], Result]] = {}
        for run in runs:
            place = (run.model, run.shots, run.data_set)
            self._by_place.setdefault(place, {})[run.category, run.seed] = run
        self.models = distinct(run.model for run in runs)
        found = distinct(run.data_set for run in runs)
        order = distinct(
            name for metric in ("image", "pixel") for group in groups_of(metric) for name in group.data_sets
        )
        self.data_sets = [name for name in order if name in found] + [name for name in found if name not in order]
        self._categories = {name: self._find_categories(name) for name in self.data_sets}
        entries = {Entry(run.shots, run.model) for run in runs}
        self.entries = sorted(entries, key=lambda entry: (shots_order(entry.shots), self.models.index(entry.model)))

    def categories(self, data_set: str) -> list[str]:
        """Categories of a data set that the sweep asks for; all that are known where the table does not tell."""
        return self._categories[data_set]

    def left_out(self, data_set: str) -> list[str]:
        """Categories of a data set of the paper that the sweep does not ask for."""
        return [name for name in self._known(data_set) if name not in self._categories.get(data_set, [name])]

    def _known(self, data_set: str) -> list[str]:
        runs = (run for run in self.runs if run.data_set == data_set)
        return distinct(name for run in runs for name in known_categories(data_set, run.data_class))

    def _find_categories(self, data_set: str) -> list[str]:
        runs = [run for run in self.runs if run.data_set == data_set]
        asked = {name for run in runs for name in run.asked}
        known = [name for name in self._known(data_set) if not asked or name in asked]
        return distinct([*known, *(name for run in runs for name in (*run.asked, run.category))])

    def run_of(self, entry: Entry, data_set: str | None = None) -> Result | None:
        """Any run of a model with a number of shots, on a data set if one is named."""
        wanted = ((entry.model, entry.shots, name) for name in (self.data_sets if data_set is None else [data_set]))
        return next((run for place in wanted for run in self._by_place.get(place, {}).values()), None)

    def category(self, entry: Entry, data_set: str, category: str, metric: str) -> Figure:
        """A metric on a category, over seeds."""
        return self._over(entry, data_set, [category], metric)

    def average(self, entry: Entry, data_set: str, metric: str) -> Figure:
        """A metric on a data set: over categories within each seed, then over seeds."""
        return self._over(entry, data_set, self.categories(data_set), metric)

    def _over(self, entry: Entry, data_set: str, categories: Sequence[str], metric: str) -> Figure:
        runs = self._by_place.get((entry.model, entry.shots, data_set), {})
        seeds = distinct(seed for _, seed in runs)
        table = [[runs.get((category, seed)) for category in categories] for seed in seeds]
        finished = all(run is not None and not run.error for row in table for run in row)
        figure = over_seeds([[run.metrics[metric] if run else None for run in row] for row in table], finished)
        return figure._replace(leakage=any(run is not None and run.leakage for row in table for run in row))

    def groups(self, metric: str) -> list[Group]:
        """Groups of data sets that are in the sweep; those that the paper lacks are the last, without a name."""
        paper = groups_of(metric)
        known = {name for level in ("image", "pixel") for group in groups_of(level) for name in group.data_sets}
        others = Group("", [name for name in self.data_sets if name not in known])
        present = [Group(name, [one for one in members if one in self.data_sets]) for name, members in paper]
        return [group for group in [*present, others] if group.data_sets]

    def group_average(self, entry: Entry, group: Group, metric: str) -> Figure:
        """Mean of the averages of a group's data sets; all that the paper has in it are expected."""
        members = next((one.data_sets for one in groups_of(metric) if one.name == group.name), group.data_sets)
        figures = [self.average(entry, name, metric) for name in members]
        means = [figure.mean for figure in figures if figure.mean is not None]
        complete = sum(figure.complete for figure in figures)
        finished = all(figure.finished and figure.expected for figure in figures)
        leakage = any(figure.leakage for figure in figures)
        return Figure(fmean(means) if means else None, None, complete, len(members), finished, leakage)

    def published(self, entry: Entry, data_set: str, metric: str) -> Published | None:
        """The paper's figure on a data set or a group; None where the sweep leaves out categories."""
        members = next((group.data_sets for group in groups_of(metric) if group.name == data_set), [data_set])
        if any(map(self.left_out, members)):
            return None
        run = self.run_of(entry, data_set if data_set in self.data_sets else None)
        return published(run, data_set, metric) if run else None

    def common_data_sets(self, metric: str) -> tuple[list[Entry], list[str]]:
        """Models, and the data sets on which all of them have a complete figure."""
        complete = {
            entry: [name for name in self.data_sets if self.average(entry, name, metric).complete]
            for entry in self.entries
        }
        complete = {entry: names for entry, names in complete.items() if names}
        common = [name for name in self.data_sets if all(name in names for names in complete.values())]
        return list(complete), common if complete else []


def shots_order(shots: str) -> tuple[bool, int]:
    """Sort key: numbers, then ``"full"``."""
    return not shots.isdigit(), int(shots) if shots.isdigit() else 0


def difference(figure: Figure, paper: Published | None) -> float | None:
    """Ours minus the paper's, None where one is missing or ours is not comparable."""
    return figure.mean - paper.value if paper and figure.mean is not None and figure.comparable else None
