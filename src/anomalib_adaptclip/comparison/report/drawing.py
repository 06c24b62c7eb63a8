# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the plots of a report have in common: style, colours, legends, and the drawing as SVG and PNG.

The SVG is made to embed in a page: text takes the page's colour, and no other file is needed.
"""

import io
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D

from .averages import Comparison, Entry, shots_order
from .pictures import in_words

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9")  # Okabe and Ito: safe for the colour-blind
MARKERS = ("o", "^", "s", "D", "P", "X", "v")
DASHES = ("-", "--", ":")  # tell models apart when there are more of them than colours
HATCHES = ("", "//", "..")
INK = "#010203"  # occurs nowhere else, so it can be replaced by the colour of the page's text
STYLE: Any = {  # Any, because matplotlib's stubs list each key
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.15,
    "legend.frameon": False,
    "path.simplify_threshold": 0.3,  # in pixels: curves have more points than can be seen
    "svg.hashsalt": "anomalib-adaptclip",
    "svg.fonttype": "path",  # looks the same whatever fonts are installed
}


class Plot(NamedTuple):
    """A plot for the page.

    Attributes:
        title: What the plot shows, in a few words.
        description: Caption, which also describes the plot to readers who cannot see it.
        svg: The drawing, ``<svg>...</svg>``.
        name: Name of the plot's files, without suffix, such as ``"cost"``.
        png: The drawing as PNG, black on white.
    """

    title: str
    description: str
    svg: str
    name: str
    png: bytes

    @property
    def svg_file(self) -> str:
        """The drawing as an SVG file, black on no background."""
        names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        text = self.svg.replace("<svg", f"<svg {names}", 1).replace("currentColor", "#000000")
        return text.replace(' href="#', ' xlink:href="#')


def usual_shots(entries: Sequence[Entry]) -> str:
    """Return the number of shots that most models have. In a tie the smallest wins, and zero-shot comes last."""
    counts = {entry.shots: sum(other.shots == entry.shots for other in entries) for entry in entries}
    return min(counts, key=lambda shots: (-counts[shots], shots == "0", shots_order(shots)), default="0")


def new_canvas(panels: int, height: float, **options: Any) -> tuple[Canvas, list[Axes]]:  # noqa: ANN401
    """Create a drawing with panels side by side, of a height in inches."""
    layout = ConstrainedLayoutEngine(wspace=0.06)  # else the label of an axis touches the panel on its left
    canvas = Canvas(figsize=(9 if panels > 1 else 5.5, height), layout=layout)
    return canvas, list(canvas.subplots(1, panels, squeeze=False, **options)[0])


def grid(ax: Axes, axis: Any = "both") -> None:  # noqa: ANN401
    """Draw the grid of a panel, behind what is plotted."""
    ax.grid(visible=True, axis=axis)
    ax.set_axisbelow(True)


def line_style(comparison: Comparison, model: str) -> dict[str, Any]:
    """Return the colour and the dashes of a model, which are the same in all plots of a report."""
    index = comparison.models.index(model)
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": DASHES[index // len(COLOURS) % len(DASHES)]}


def marker_of(comparison: Comparison, shots: str) -> str:
    """Return the marker of a number of shots, which is the same in all plots of a report."""
    order = sorted({entry.shots for entry in comparison.entries}, key=shots_order)
    return MARKERS[order.index(shots) % len(MARKERS)]


def legend(
    canvas: Canvas, comparison: Comparison, entries: Sequence[Entry], shots: bool = False, square: bool = False
) -> None:
    """Add a legend of models above the plot and, with ``shots``, one of markers below it."""
    models = [name for name in comparison.models if name in {entry.model for entry in entries}]
    line: dict[str, Any] = {"marker": "s", "markersize": 8} if square else {"linewidth": 2}
    handles = [
        Line2D([], [], label=plain(name), **line | line_style(comparison, name) | ({"linestyle": ""} if square else {}))
        for name in models
    ]
    canvas.legend(handles=handles, loc="outside upper center", ncols=min(4, len(handles)))
    if shots:
        numbers = sorted({entry.shots for entry in entries}, key=shots_order)
        markers = [
            Line2D([], [], color=INK, linestyle="", marker=marker_of(comparison, number), label=in_words(number))
            for number in numbers
        ]
        canvas.legend(handles=markers, loc="outside lower center", ncols=min(7, len(markers)))


def plain(name: str) -> str:
    """Shorten a name for a label, and escape ``$``, which would begin a formula."""
    return (name if len(name) <= 28 else f"{name[:27]}…").replace("$", r"\$")


def finish(drawing: Canvas, name: str, file: str, title: str, description: str) -> Plot:
    """Render a drawing, inside the context of ``STYLE``.

    Args:
        drawing: The drawing.
        name: Begins the identifiers in the SVG, so that they differ from those of other plots on the page.
        file: Name of the plot's files, without suffix.
        title: What the plot shows, in a few words.
        description: Caption.
    """
    vector, pixels = io.StringIO(), io.BytesIO()
    nothing = {"Creator": None, "Date": None, "Format": None, "Type": None}
    drawing.savefig(vector, format="svg", transparent=True, metadata=nothing)
    drawing.savefig(pixels, format="png", dpi=150, facecolor="white", metadata={"Software": None})
    text = vector.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href")
    text = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d\d)\d+", r"\1", path[0]), text)  # halves the size
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    return Plot(title, description, text, file, pixels.getvalue())
