# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Draws the ROC and the precision-recall curves of a category, with all models in one plot."""

import logging
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes

from anomalib_adaptclip.comparison.curves import Curve, Line, mean_line, read_curves
from anomalib_adaptclip.comparison.run_files import curves_path

from .averages import Comparison, Entry, shots_order
from .drawing import INK, STYLE, Plot, finish, grid, line_style, new_canvas, plain, usual_shots
from .grids import with_deviation
from .paper_figures import display_name
from .pictures import in_words
from .runs import Runs

logger = logging.getLogger(__name__)

TOLERANCE = 3e-3  # by which a thinned curve's area may differ from the metric of its run
_TEXT: Any = {"svg.fonttype": "none"}  # text as text takes a third of the bytes, and there are plots of each category
_AREAS = {"AUROC": Curve.roc, "AP": Curve.precision_recall}  # metrics that are areas under a line of the curve


class CurvePlots:
    """Draws the curves that are stored beside a table of runs.

    Args:
        runs: Runs of the table.
        comparison: Averages of the sweep.

    Attributes:
        problems: A message for each file that cannot be read, or does not belong to its run.
    """

    def __init__(self, runs: Runs, comparison: Comparison) -> None:
        self.problems: list[str] = []
        self._table, self._runs, self._comparison = runs.path, runs.frame, comparison

    def of_category(self, data_set: str, category: str) -> list[Plot]:
        """Plot the curves of images and those of pixels.

        A model is shown with the number of shots that most models have, or with its fewest if it does not have that.
        Over several seeds its curve is the mean one, whose area is the mean metric.

        Args:
            data_set: Name of the data set.
            category: Name of the category, empty if there is none.

        Returns:
            Up to two plots. A level without curves has none.
        """
        entries = self._comparison.entries_on(data_set)
        usual = usual_shots(entries)
        shown: dict[str, Entry] = {}
        for entry in sorted(entries, key=lambda one: (one.shots != usual, shots_order(one.shots))):
            shown.setdefault(entry.model, entry)
        ordered = [shown[model] for model in self._comparison.models if model in shown]
        curves = {entry: self._curves(data_set, category, entry) for entry in ordered}
        plots = (self._plot(data_set, category, level, curves) for level in ("image", "pixel"))
        return [plot for plot in plots if plot]

    def _curves(self, data_set: str, category: str, entry: Entry) -> list[dict[str, Curve]]:
        """Read the curves of each finished run, by level. Without those of one run there are none."""
        runs = self._runs
        own = runs[(runs.data_set == data_set) & (runs.category == category) & (runs.error == "")]
        own = own[(own.shots == entry.shots) & (own.model == entry.model)]
        found = [self._read(run) for run in own.itertuples()]
        return found if all(found) else []

    def _read(self, run: Any) -> dict[str, Curve]:  # noqa: ANN401  # a row of the frame
        path = curves_path(self._table, run)
        if not path.is_file():
            return {}
        try:
            curves = read_curves(path)
            for level, curve in curves.items():
                for metric, line_of in _AREAS.items():
                    area, expected = line_of(curve).area, getattr(run, f"{level}_{metric}")
                    if not abs(area - expected) <= TOLERANCE:  # also if it is NaN
                        msg = f"{path} has the {level} {metric} {area:.4f}, but its run {expected:.4f}. Run again."
                        raise ValueError(msg)
        except ValueError as error:
            logger.warning("%s", error)
            self.problems.append(str(error))
            return {}
        return curves

    def _plot(
        self, data_set: str, category: str, level: str, curves: dict[Entry, list[dict[str, Curve]]]
    ) -> Plot | None:
        own = {entry: [one[level] for one in runs if level in one] for entry, runs in curves.items()}
        drawn = {entry: found for entry, found in own.items() if found and len(found) == len(curves[entry])}
        if not drawn:
            return None
        with rc_context(STYLE | _TEXT):
            canvas, [roc, precision_recall] = new_canvas(2, 4 + 0.22 * len(drawn))
            for ax, metric in ((roc, "AUROC"), (precision_recall, "AP")):
                grid(ax)
                ax.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
                for entry, found in drawn.items():
                    line = mean_line([_AREAS[metric](curve) for curve in found])
                    place = (data_set, category, entry.shots, entry.model, f"{level}_{metric}")
                    figure = self._comparison.by_category.loc[place]
                    name = f"{plain(entry.model)}, {in_words(entry.shots)}"
                    label = f"{name}: {metric} {with_deviation(figure['mean'], figure['std'])} %"
                    _draw(ax, line, label=label, **line_style(self._comparison, entry.model))
                ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
            roc.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
            roc.set(xlabel="false positive rate", ylabel="true positive rate")
            share = float(np.mean([_share(curve) for found in drawn.values() for curve in found]))
            precision_recall.axhline(share, color=INK, linewidth=0.8, linestyle=":")
            precision_recall.set(xlabel="recall", ylabel="precision")
            places = self._comparison.data_sets.index(data_set), self._comparison.categories(data_set).index(category)
            where = ", ".join(filter(None, (display_name(data_set), category)))
            lacking = [entry.model for entry in curves if entry not in drawn]
            return finish(
                canvas,
                f"curves-{places[0]}-{places[1]}-{level}",
                f"curves_{data_set}_{category}_{level}",
                f"{where}: ROC and precision-recall curves of {level}s",
                f"Curves of {level}s, and the areas under them. Over several seeds a curve is the mean of theirs. The "
                f"dotted lines are chance.{' No curves are kept of ' + ', '.join(lacking) + '.' if lacking else ''}",
            )


def _draw(ax: Axes, line: Line, **options: Any) -> None:  # noqa: ANN401
    ax.plot(line.x, line.y, linewidth=1.6, **options)


def _share(curve: Curve) -> float:
    """Return the share of abnormal samples, which is the precision of chance."""
    return float(curve.precision[-1])
