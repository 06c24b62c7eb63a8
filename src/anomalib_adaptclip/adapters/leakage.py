# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Leakage: whether adapters were trained on the data under test, which makes figures worthless."""

import logging
from collections.abc import Sequence

from lightning.pytorch import LightningDataModule

logger = logging.getLogger(__name__)


def is_base(base: str | None, datamodule: LightningDataModule | None, categories: Sequence[str] = ()) -> bool:
    """Whether a data module shows what was trained on.

    Args:
        base: Base data set, named by its class.
        datamodule: Data under test; that class, or a subclass of it.
        categories: Categories of the base, if not all of them were trained on.
    """
    same = base is not None and base in {cls.__name__ for cls in type(datamodule).__mro__}
    category = getattr(datamodule, "category", None)
    return same and (not categories or category is None or category in categories)


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
