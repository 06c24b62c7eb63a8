# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Draws the plots of averages: accuracy against time and against shots, and bars for each category."""

from collections.abc import Callable, Sequence
from statistics import fmean

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from .averages import Comparison, Entry, shots_order
from .drawing import (
    COLOURS,
    HATCHES,
    INK,
    STYLE,
    Plot,
    finish,
    grid,
    legend,
    line_style,
    marker_of,
    new_canvas,
    plain,
    usual_shots,
)
from .paper_figures import display_name
from .pictures import in_words
from .runs import ENTRY

AXIS_LABELS = {"image_AUROC": "image AUROC, %", "pixel_AP": "pixel AP, %"}


def cost_plot(comparison: Comparison) -> Plot | None:
    """Plot accuracy against seconds per image.

    Args:
        comparison: Averages of the sweep.

    Returns:
        The plot, or None if no data set has complete figures.
    """

    def draw(ax: Axes, metric: str, entries: Sequence[Entry], data_sets: Sequence[str]) -> None:
        """Draw a point for each model and number of shots, and a line through the points of a model."""
        ax.set(xscale="log", xlabel="seconds per image")
        points = {entry: _cost_point(comparison, entry, data_sets, metric) for entry in entries}
        for model in dict.fromkeys(entry.model for entry in entries):
            own = [point for entry, point in points.items() if entry.model == model and point]
            style = line_style(comparison, model)
            ax.plot([x for x, _ in own], [y for _, y in own], linewidth=1, alpha=0.6, **style)
        for entry, point in points.items():
            if point:
                marker = marker_of(comparison, entry.shots)
                ax.plot(*point, marker=marker, markersize=8, clip_on=False, **line_style(comparison, entry.model))
        ax.margins(0.12)
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        ax.xaxis.set_minor_formatter(NullFormatter())

    description = (
        "Average metrics against seconds per image, on a logarithmic axis. The time is that of the test: it includes "
        "reading images and evaluation, but not the first batch if there are others. Each model has a colour, and each "
        "number of shots a marker. "
    )
    return _plot_of_panels(comparison, "cost", "Accuracy against seconds per image", description, draw, shots=True)


def shots_plot(comparison: Comparison) -> Plot | None:
    """Plot accuracy against the number of shots.

    Args:
        comparison: Averages of the sweep.

    Returns:
        The plot, or None if no data set has complete figures.
    """

    def draw(ax: Axes, metric: str, entries: Sequence[Entry], data_sets: Sequence[str]) -> None:
        """Draw a line for each model, with error bars."""
        shots = sorted({entry.shots for entry in entries}, key=shots_order)
        models = list(dict.fromkeys(entry.model for entry in entries))
        for number, model in enumerate(models):
            own = [entry for entry in entries if entry.model == model]
            shift = 0.05 * (number - (len(models) - 1) / 2)  # so that error bars do not cover each other
            figures = [_mean_over(comparison, entry, data_sets, metric) for entry in own]
            ax.errorbar(
                [shots.index(entry.shots) + shift for entry in own],
                [mean for mean, _ in figures],
                [deviation for _, deviation in figures],
                marker="o",
                markersize=5,
                capsize=3,
                clip_on=False,
                **line_style(comparison, model),
            )
        ax.set_xticks(range(len(shots)), shots)
        ax.set_xlabel("normal images (shots)")
        ax.margins(x=0.1, y=0.12)

    description = (
        "Average metrics by number of shots, with a line for each model. Error bars show the standard deviation over "
        "seeds, averaged over data sets. "
    )
    return _plot_of_panels(comparison, "shots", "Shots against accuracy", description, draw)


def _plot_of_panels(
    comparison: Comparison,
    name: str,
    title: str,
    description: str,
    draw: Callable[[Axes, str, Sequence[Entry], Sequence[str]], None],
    shots: bool = False,
) -> Plot | None:
    """Plot a panel for each metric, over the data sets that are complete for all models. None if there is no panel."""
    panels = _panels(comparison)
    if not panels:
        return None
    with rc_context(STYLE):
        canvas, axes = new_canvas(len(panels), 3.6)
        for ax, (metric, entries, data_sets) in zip(axes, panels, strict=True):
            grid(ax)
            draw(ax, metric, entries, data_sets)
            ax.set_ylabel(AXIS_LABELS[metric])
            ax.set_ylim(top=min(ax.get_ylim()[1], 100.5))  # markers at 100 % extend over the edge
        legend(canvas, comparison, [entry for _, entries, _ in panels for entry in entries], shots=shots)
        return finish(canvas, name, name, title, description + _data_sets_shown(panels))


def category_plot(comparison: Comparison, data_set: str) -> Plot | None:
    """Plot bars for each category of a data set, for the number of shots that most models have.

    Args:
        comparison: Averages of the sweep.
        data_set: Name of the data set.

    Returns:
        The plot, or None if the data set has fewer than two categories or no figures.
    """
    categories = [name for name in comparison.categories(data_set) if name]
    entries = comparison.entries_on(data_set)
    shots = usual_shots(entries)
    entries = [entry for entry in entries if entry.shots == shots]
    figures = comparison.by_category.loc[data_set]
    values = {metric: figures.xs(metric, level="metric") for metric in AXIS_LABELS}
    values = {metric: rows for metric, rows in values.items() if rows["mean"].xs(shots, level="shots").notna().any()}
    if len(categories) < 2 or not values:
        return None
    with rc_context(STYLE):
        thickness = 0.8 / len(entries)
        canvas, axes = new_canvas(len(values), 1 + len(categories) * (0.12 + 0.13 * len(entries)), sharey=True)
        for ax, (metric, rows) in zip(axes, values.items(), strict=True):
            grid(ax, "x")
            for number, entry in enumerate(entries):
                known = rows.xs(entry, level=ENTRY).reindex(categories).reset_index().dropna(subset=["mean"])
                index = comparison.models.index(entry.model)
                ax.barh(
                    known.index + (number - (len(entries) - 1) / 2) * thickness,
                    known["mean"],
                    thickness * 0.9,
                    xerr=known["std"].fillna(0),
                    color=COLOURS[index % len(COLOURS)],
                    hatch=HATCHES[index // len(COLOURS) % len(HATCHES)],
                    error_kw={"ecolor": INK, "elinewidth": 0.8},
                )
            ax.set(xlabel=AXIS_LABELS[metric], xlim=(0, 100))
            ax.set_yticks(range(len(categories)), [plain(name) for name in categories])
            ax.set_ylim(len(categories) - 0.4, -0.6)
            ax.tick_params(axis="y", length=0)
        legend(canvas, comparison, entries, square=True)
        name = display_name(data_set)
        return finish(
            canvas,
            f"categories-{comparison.data_sets.index(data_set)}",
            f"categories_{data_set}",
            f"{name} by category, {in_words(shots)}",
            f"Metrics by category of {name}, {in_words(shots)}. Each model has a bar, with the standard deviation over "
            "seeds.",
        )


def _panels(comparison: Comparison) -> list[tuple[str, list[Entry], list[str]]]:
    """Return metrics with their models and the data sets that are complete for all of these, if there are any."""
    panels = [(metric, *comparison.common_data_sets(metric)) for metric in AXIS_LABELS]
    return [panel for panel in panels if panel[2]]


def _data_sets_shown(panels: Sequence[tuple[str, list[Entry], list[str]]]) -> str:
    """Say over which data sets a plot averages."""
    parts = [
        f"{AXIS_LABELS[metric].removesuffix(', %')} over {', '.join(map(display_name, data_sets))}"
        for metric, _, data_sets in panels
    ]
    return f"Averages are over the data sets on which all models are complete: {'; '.join(parts)}."


def _cost_point(
    comparison: Comparison, entry: Entry, data_sets: Sequence[str], metric: str
) -> tuple[float, float] | None:
    """Return seconds per image and the average of a metric, or None if no time is known."""
    runs = comparison.runs
    own = runs[(runs.shots == entry.shots) & (runs.model == entry.model) & runs.data_set.isin(data_sets)]
    seconds = own.seconds[own.seconds > 0]
    return None if seconds.empty else (fmean(seconds), _mean_over(comparison, entry, data_sets, metric)[0])


def _mean_over(comparison: Comparison, entry: Entry, data_sets: Sequence[str], metric: str) -> tuple[float, float]:
    figures = comparison.averages.loc[[(metric, name, *entry) for name in data_sets]]
    return fmean(figures["mean"]), fmean(figures["std"].fillna(0))
