# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The ROC and the precision-recall curve of a run, and the CSV file that keeps them beside the table.

torchmetrics' functions for curves are not used: they apply a sigmoid to scores outside [0, 1] and take no counts, and
of pixels only counts are kept. Letters: N thresholds, M points of a line.
"""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from anomalib_adaptclip.files.csv_rows import open_csv, write_rows
from anomalib_adaptclip.metrics.ranking_metrics import Ranking

LEVELS = ("image", "pixel")
POINTS = 600  # largest number of intervals into which the thresholds of a curve are thinned
COLUMNS = ["level", "threshold", "false_positives", "true_positives"]
Values = npt.NDArray[np.float64]


class Line(NamedTuple):
    """A line of points, whose area is that under a curve.

    Attributes:
        x: Ascending, from 0 to 1, ``(M,)``. Equal values are a step.
        y: In [0, 1], ``(M,)``.
    """

    x: Values
    y: Values

    @property
    def area(self) -> float:
        """Area under the line."""
        return float(np.sum(np.diff(self.x) * (self.y[1:] + self.y[:-1]) / 2))


class Curve(NamedTuple):
    """What lies at or above each threshold.

    Attributes:
        thresholds: Scores ``(N,)``, descending.
        false_positives: Number of normal samples with at least that score, ``(N,)``. The last is all of them.
        true_positives: Number of abnormal samples with at least that score, ``(N,)``. The last is all of them.
    """

    thresholds: Values
    false_positives: Values
    true_positives: Values

    @property
    def precision(self) -> Values:
        """Precision at each threshold."""
        return self.true_positives / (self.true_positives + self.false_positives)

    def roc(self) -> Line:
        """True positive rate by false positive rate. The area is the AUROC."""
        return Line(
            np.concatenate([[0], self.false_positives / self.false_positives[-1]]),
            np.concatenate([[0], self.true_positives / self.true_positives[-1]]),
        )

    def precision_recall(self) -> Line:
        """Precision by recall, in steps. The area is the average precision."""
        recall = np.concatenate([[0], self.true_positives / self.true_positives[-1]])
        return Line(np.stack([recall[:-1], recall[1:]], 1).flatten(), self.precision.repeat(2))


def curve_of(ranking: Ranking) -> Curve | None:
    """Return the curve of a ranking, thinned, or None if there are no normal or no abnormal samples.

    Args:
        ranking: Ranking of a run's images or pixels.
    """
    curve = Curve(*(values.double().numpy() for values in ranking.counts()))
    if not len(curve.thresholds) or not (curve.false_positives[-1] > 0 and curve.true_positives[-1] > 0):
        return None
    return thin(curve)


def thin(curve: Curve) -> Curve:
    """Leave out thresholds between which neither rates nor precision change much. Few thresholds are kept as they are.

    Args:
        curve: Curve with any number of thresholds.

    Returns:
        Curve with at most ``POINTS + 1`` thresholds.
    """
    if len(curve.thresholds) <= POINTS:
        return curve
    rates = [curve.false_positives / curve.false_positives[-1], curve.true_positives / curve.true_positives[-1]]
    way = sum(np.abs(np.diff(values, prepend=0)) for values in (*rates, curve.precision)).cumsum()
    interval = np.floor(way / way[-1] * POINTS)
    kept = np.append(np.diff(interval) > 0, True)  # the last of each interval, whose counts are those up to there
    return Curve(*(values[kept] for values in curve))


def mean_line(lines: list[Line]) -> Line:
    """Average lines at each x. The area is the mean of the areas.

    Args:
        lines: Lines, at least one.
    """
    if len(lines) == 1:
        return lines[0]
    x = np.unique(np.concatenate([line.x for line in lines]))
    before, after = (np.mean([_limit(line, x, side) for line in lines], axis=0) for side in ("left", "right"))
    return Line(x.repeat(2), np.stack([before, after], 1).flatten())


def _limit(line: Line, x: Values, side: str) -> Values:
    """Return the limit of a line at each x from the left or the right, which differ at a step."""
    known, first = np.unique(line.x, return_index=True)
    last = np.append(first[1:], len(line.x)) - 1
    if len(known) == 1:
        return np.full(len(x), line.y[first[0] if side == "left" else last[0]])
    index = np.searchsorted(known, x, "left" if side == "left" else "right").clip(1, len(known) - 1)
    share = (x - known[index - 1]) / (known[index] - known[index - 1])
    inside = line.y[last[index - 1]] * (1 - share) + line.y[first[index]] * share
    end, value = (known[0], line.y[0]) if side == "left" else (known[-1], line.y[-1])
    return np.asarray(np.where(x == end, value, inside))


def pack_curves(curves: Mapping[str, Curve]) -> bytes:
    """Write curves as CSV, a row for each threshold.

    Args:
        curves: Curves by level, ``"image"`` and ``"pixel"``.
    """
    text = io.StringIO()
    points = ((level, point) for level, curve in curves.items() for point in zip(*curve, strict=True))
    write_rows(text, [COLUMNS, *((level, f"{score:.7g}", int(fp), int(tp)) for level, (score, fp, tp) in points)])
    return text.getvalue().encode()


def read_curves(path: Path) -> dict[str, Curve]:
    """Read the curves of a run.

    Args:
        path: File with the content that :func:`pack_curves` returned.

    Returns:
        Curves by level.

    Raises:
        ValueError: If the file is damaged, or holds no curves.
    """
    try:
        with open_csv(path) as file:
            header, *rows = csv.reader(file, strict=True)
        if header != COLUMNS or {row[0] for row in rows} - {*LEVELS}:
            msg = f"it should have the columns {COLUMNS}, and the levels {LEVELS}"
            raise ValueError(msg)
        return {level: _read_curve(own) for level in LEVELS if (own := [row[1:] for row in rows if row[0] == level])}
    except (ValueError, TypeError, IndexError, csv.Error) as error:
        msg = f"{path} is damaged, or holds no curves of a run: {error}. Remove it, or run again."
        raise ValueError(msg) from error


def _read_curve(rows: list[list[str]]) -> Curve:
    values = np.array(rows, dtype=float).T
    curve = Curve(*values)
    counts = values[1:]
    if not (np.isfinite(values).all() and (np.diff(counts, prepend=0) >= 0).all() and counts[:, 0].sum() > 0):
        msg = "numbers should be finite, and counts rise from 0"
        raise ValueError(msg)
    if not (counts[:, -1] > 0).all():
        msg = "there should be normal and abnormal samples"
        raise ValueError(msg)
    return curve
