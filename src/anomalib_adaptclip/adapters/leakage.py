# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Leakage: whether adapters were trained on the data under test, which makes figures worthless."""

import logging
from collections.abc import Collection, Sequence
from typing import NamedTuple

from lightning.pytorch import LightningDataModule

logger = logging.getLogger(__name__)


class Base(NamedTuple):
    """A data set that adapters were trained on.

    Attributes:
        name: Class of its data module.
        categories: Its categories that were trained on. Empty for all, or if unknown. A data set without categories
            has its own name here.
    """

    name: str
    categories: tuple[str, ...] = ()

    def is_in(self, module_class: type, tested: Collection[str] = ()) -> bool:
        """Whether a data set shows what was trained on.

        Args:
            module_class: Class of its data module; that of the base, or a subclass of it.
            tested: Its categories under test. All by default.
        """
        same = self.name in {cls.__name__ for cls in module_class.__mro__}
        partly = self.categories and self.categories != (self.name,) and tested
        return same and (not partly or not {*self.categories}.isdisjoint(tested))


def merge_bases(bases: Sequence[Base]) -> tuple[Base, ...]:
    """Unite the categories of bases with the same name. A base of all categories stays one."""
    merged: dict[str, Base] = {}
    for base in bases:
        known = merged.get(base.name, base)
        whole = not (known.categories and base.categories)
        merged[base.name] = Base(base.name, () if whole else tuple(sorted({*known.categories, *base.categories})))
    return tuple(merged.values())


def is_base(base: str | None, datamodule: LightningDataModule | None, categories: Sequence[str] = ()) -> bool:
    """Whether a data module shows what was trained on.

    Args:
        base: Base data set, named by its class.
        datamodule: Data under test; that class, or a subclass of it. One without categories that was given a name, as a
            `Folder` is, goes by that.
        categories: Categories of the base, if not all of them were trained on.
    """
    name = getattr(datamodule, "name", None)
    tested = getattr(datamodule, "category", None) or (name if name != type(datamodule).__name__ else None)
    return base is not None and Base(base, tuple(categories)).is_in(type(datamodule), [tested] if tested else [])


def warn_of_leakage(source: str, base: str) -> None:
    """Log loudly that adapters were trained on the data under test.

    Args:
        source: Where the adapters came from.
        base: Data set that they were trained on.
    """
    logger.warning(
        "LEAKAGE: the adapters %r were trained on the test images of %s, which is the data under test. The figures "
        "will be too good and say nothing about new data. Use adapters='auto', or others.",
        source,
        base,
    )
