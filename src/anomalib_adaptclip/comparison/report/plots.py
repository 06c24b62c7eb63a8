# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Draws plots as SVG to embed in a page: text takes the page's colour, and no other file is needed."""

import io
import re
from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from .averages import Comparison, Entry, shots_order
from .paper_figures import display_name
from .runs import ENTRY

AXIS_LABELS = {"image_AUROC": "image AUROC, %", "pixel_AP": "pixel AP, %"}
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")  # Okabe and Ito: safe for the colour-blind
MARKERS = ("o", "^", "s", "D", "P", "X", "v")
DASHES = ("-", "--", ":")  # tell models apart when there are more of them than colours
HATCHES = ("", "//", "..")
_INK = "#010203"  # occurs nowhere else, so it can be replaced by the colour of the page's text
_STYLE: Any = {  # Any, because matplotlib's stubs list each key
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "grid.color": _INK,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "svg.hashsalt": "anomalib-adaptclip",
    "svg.fonttype": "path",  # looks the same whatever fonts are installed
}


class Plot(NamedTuple):
    """A plot for the page.

    Attributes:
        title: What the plot shows, in a few words.
        description: Caption, which also describes the plot to readers who cannot see it.
        svg: The drawing, ``<svg>...</svg>``.
    """

    title: str
    description: str
    svg: str


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
            style = _line_style(comparison, model)
            ax.plot([x for x, _ in own], [y for _, y in own], linewidth=1, alpha=0.6, **style)
        for entry, point in points.items():
            if point:
                marker = _marker(comparison, entry.shots)
                ax.plot(*point, marker=marker, markersize=8, clip_on=False, **_line_style(comparison, entry.model))
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
                **_line_style(comparison, model),
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
    with rc_context(_STYLE):
        canvas, axes = _canvas(len(panels), 3.6)
        for ax, (metric, entries, data_sets) in zip(axes, panels, strict=True):
            _grid(ax)
            draw(ax, metric, entries, data_sets)
            ax.set_ylabel(AXIS_LABELS[metric])
            ax.set_ylim(top=min(ax.get_ylim()[1], 100.5))  # markers at 100 % extend over the edge
        _legend(canvas, comparison, [entry for _, entries, _ in panels for entry in entries], shots=shots)
        return Plot(title, description + _data_sets_shown(panels), _svg(canvas, name))


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
    shots = _usual_shots(entries)
    entries = [entry for entry in entries if entry.shots == shots]
    figures = comparison.by_category.loc[data_set]
    values = {metric: figures.xs(metric, level="metric") for metric in AXIS_LABELS}
    values = {metric: rows for metric, rows in values.items() if rows["mean"].xs(shots, level="shots").notna().any()}
    if len(categories) < 2 or not values:
        return None
    with rc_context(_STYLE):
        thickness = 0.8 / len(entries)
        canvas, axes = _canvas(len(values), 1 + len(categories) * (0.12 + 0.13 * len(entries)), sharey=True)
        for ax, (metric, rows) in zip(axes, values.items(), strict=True):
            _grid(ax, "x")
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
                    error_kw={"ecolor": _INK, "elinewidth": 0.8},
                )
            ax.set(xlabel=AXIS_LABELS[metric], xlim=(0, 100))
            ax.set_yticks(range(len(categories)), [_plain(name) for name in categories])
            ax.set_ylim(len(categories) - 0.4, -0.6)
            ax.tick_params(axis="y", length=0)
        _legend(canvas, comparison, entries, square=True)
        name = display_name(data_set)
        return Plot(
            f"{name} by category, {_shots(shots)}",
            f"Metrics by category of {name}, {_shots(shots)}. Each model has a bar, with the standard deviation over "
            "seeds.",
            _svg(canvas, f"categories-{comparison.data_sets.index(data_set)}"),
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


def _usual_shots(entries: Sequence[Entry]) -> str:
    """Return the number of shots that most models have. In a tie the smallest wins, and zero-shot comes last."""
    counts = {entry.shots: sum(other.shots == entry.shots for other in entries) for entry in entries}
    return min(counts, key=lambda shots: (-counts[shots], shots == "0", shots_order(shots)), default="0")


def _shots(shots: str) -> str:
    return {"0": "zero-shot", "1": "1 shot", "full": "full"}.get(shots, f"{shots} shots")


def _canvas(panels: int, height: float, **options: Any) -> tuple[Canvas, list[Axes]]:  # noqa: ANN401
    layout = ConstrainedLayoutEngine(wspace=0.06)  # else the label of an axis touches the panel on its left
    canvas = Canvas(figsize=(9 if panels > 1 else 5.5, height), layout=layout)
    return canvas, list(canvas.subplots(1, panels, squeeze=False, **options)[0])


def _grid(ax: Axes, axis: Any = "both") -> None:  # noqa: ANN401
    ax.grid(visible=True, axis=axis)
    ax.set_axisbelow(True)


def _line_style(comparison: Comparison, model: str) -> dict[str, Any]:
    index = comparison.models.index(model)
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index // len(COLOURS) % len(DASHES)]}


def _marker(comparison: Comparison, shots: str) -> str:
    order = sorted({entry.shots for entry in comparison.entries}, key=shots_order)
    return MARKERS[order.index(shots) % len(MARKERS)]


def _legend(
    canvas: Canvas, comparison: Comparison, entries: Sequence[Entry], shots: bool = False, square: bool = False
) -> None:
    """Add a legend of models above the plot and, with ``shots``, one of markers below it."""
    models = [name for name in comparison.models if name in {entry.model for entry in entries}]
    line: dict[str, Any] = {"marker": "s", "markersize": 8} if square else {"linewidth": 2}
    handles = [
        Line2D(
            [], [], label=_plain(name), **line | _line_style(comparison, name) | ({"linestyle": ""} if square else {})
        )
        for name in models
    ]
    canvas.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    if shots:
        numbers = sorted({entry.shots for entry in entries}, key=shots_order)
        markers = [
            Line2D([], [], color=_INK, linestyle="", marker=_marker(comparison, number), label=_shots(number))
            for number in numbers
        ]
        canvas.legend(handles=markers, loc="outside lower center", ncols=min(7, len(markers)))


def _plain(name: str) -> str:
    """Shorten a name for a label, and escape ``$``, which would begin a formula."""
    return (name if len(name) <= 28 else f"{name[:27]}…").replace("$", r"\$")


def _svg(canvas: Canvas, name: str) -> str:
    """Return the drawing. Its identifiers begin with ``name``, so that they differ from those of other plots."""
    buffer = io.StringIO()
    canvas.savefig(
        buffer, format="svg", transparent=True, metadata={"Creator": None, "Date": None, "Format": None, "Type": None}
    )
    text = buffer.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
