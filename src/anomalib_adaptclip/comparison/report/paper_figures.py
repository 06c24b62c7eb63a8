# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Looks up figures of the paper's Tables 1 and 2 by the names of a sweep."""

import math
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from anomalib_adaptclip.data.catalogue import categories_of_data_set, data_set_names, read_data_spec
from anomalib_adaptclip.paper import read_table

TABLES = {"image_AUROC": 1, "pixel_AP": 2}  # the paper calls the latter AUPR
AVERAGE = "AVG "  # prefix of the names of groups
# Arguments that do not turn a model into another one than the paper's. With any other argument it has no figure there.
_SAME_MODEL = ("adapters", "class_name", "pretrained", "prompt_precision", "revision")
_METHODS = {
    "AdaptCLIP": ("AdaptCLIP-Zero", "AdaptCLIP"),  # zero-shot, few-shot
    "NormalizedWinClip": ("WinCLIP", "WinCLIP+"),
    "WinClip": ("WinCLIP", "WinCLIP+"),
}


class Published(NamedTuple):
    """A figure of the paper.

    Attributes:
        value: Value in percent.
        std: Standard deviation over seeds, or None if the paper gives none.
    """

    value: float
    std: float | None


class Group(NamedTuple):
    """A group of data sets that the paper averages over.

    Attributes:
        name: Name of the group, ``"industrial"`` or ``"medical"``.
        data_sets: Names of the data sets as in ``configs/data``, in the paper's order.
    """

    name: str
    data_sets: list[str]


@cache
def groups_of(metric: str) -> list[Group]:
    """Return the groups of the paper's table of image metrics or of pixel metrics.

    Args:
        metric: Name out of ``METRICS``.
    """
    names = list(dict.fromkeys(read_table(1 if metric.startswith("image") else 2).dataset))
    groups: list[Group] = []
    members: list[str] = []
    for name in names:
        if name.startswith(AVERAGE):
            groups.append(Group(name.removeprefix(AVERAGE), members))
            members = []
        else:
            members.append(name.lower())
    return groups


@cache
def display_name(data_set: str) -> str:
    """Return the paper's spelling of a data set's name, or the name itself if the paper lacks the data set."""
    names = {name.lower(): name for number in (1, 2) for name in read_table(number).dataset}
    return str(names.get(data_set, data_set))


def published(
    model_class: str, arguments: Mapping[str, Any], shots: str, data_set: str, metric: str
) -> Published | None:
    """Return the paper's figure for a model.

    Args:
        model_class: Name of the model's class, without its package.
        arguments: Arguments of the model.
        shots: Number of normal images, as text.
        data_set: Name of the data set or of the group.
        metric: Name out of ``METRICS``.

    Returns:
        The figure, or None if the paper has none for this model with these arguments.
    """
    others = {name: value for name, value in arguments.items() if name != "backbone"}
    if arguments.get("backbone", "ViT-L-14-336") != "ViT-L-14-336" or not others.keys() <= set(_SAME_MODEL):
        return None
    methods = _METHODS.get(model_class)
    return _figures(metric).get((methods[shots != "0"], shots, data_set)) if methods else None


@cache
def _figures(metric: str) -> dict[tuple[str, str, str], Published]:
    if metric not in TABLES:
        return {}
    table = read_table(TABLES[metric])
    return {
        (row.method, row.shots, row.dataset.removeprefix(AVERAGE).lower()): Published(
            row.value, None if math.isnan(row.std) else row.std
        )
        for row in table.itertuples()
    }


@cache
def known_categories(data_set: str, data_class: str) -> tuple[str, ...]:
    """Return all categories of a data set of the paper, or none for any other data set.

    Args:
        data_set: Name of the data set.
        data_class: Name of the data module's class. If it is not the class in ``configs/data``, the data set is taken
            to be another one of the same name.
    """
    if data_set not in data_set_names():
        return ()
    if read_data_spec(data_set).class_path.rpartition(".")[2] != data_class:
        return ()
    return tuple(categories_of_data_set(data_set))
