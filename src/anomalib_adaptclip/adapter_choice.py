# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Which adapters to take, and whether they have seen the data under test."""

import logging
from pathlib import Path

from lightning.pytorch import LightningDataModule

from .clip import Backbone
from .weights import PUBLISHED_ADAPTERS, fetch_published

logger = logging.getLogger(__name__)

AUTO, NONE = "auto", "none"


def choose_adapters(backbone: Backbone, datamodule: LightningDataModule | None) -> str:
    """Make ``adapters="auto"`` concrete.

    Args:
        backbone: Backbone in use.
        datamodule: Data under test, if known.

    Returns:
        For a backbone with published adapters ``"mvtec"``, or ``"visa"`` where the data under test is MVTec AD. For
        others ``"none"``.
    """
    if not backbone.published_adapters:
        return NONE
    seen = is_base(PUBLISHED_ADAPTERS["mvtec"].base, datamodule)
    return "visa" if seen else "mvtec"


def is_base(base: str | None, datamodule: LightningDataModule | None) -> bool:
    """Whether a data module is the base data set ``base``, named by its class, or a subclass of it."""
    return base is not None and base in {cls.__name__ for cls in type(datamodule).__mro__}


def locate_adapters(source: str | Path, backbone: Backbone, revision: str | None) -> Path:
    """Find the file of adapters that were named.

    Args:
        source: ``"mvtec"``, ``"visa"`` or a path.
        backbone: Backbone in use.
        revision: Of the published files.

    Returns:
        A local file, downloaded if need be.

    Raises:
        ValueError: If there are no published adapters for the backbone.
        ConnectionError: If the download fails.
    """
    if source not in PUBLISHED_ADAPTERS:
        return Path(source)
    if not backbone.published_adapters:
        msg = (
            f"The published adapters {source!r} belong to ViT-L-14-336, and the backbone is {backbone.name}. Use that "
            "backbone, a file of adapters trained for this one, or adapters='none'."
        )
        raise ValueError(msg)
    return fetch_published(str(source), revision)


def warn_of_absence(backbone: Backbone) -> None:
    """Log what it means to have no adapters."""
    logger.warning(
        "There are no trained adapters for the backbone %s. Without them zero-shot is plain CLIP with static texts, "
        "and few-shot adds only the alignment with the prompts: expect clearly worse results. Train adapters on a base "
        "data set with anomalies and pass them as adapters=PATH.",
        backbone.name,
    )


def warn_of_leakage(source: str, base: str | None, datamodule: LightningDataModule | None) -> None:
    """Log loudly if the adapters were trained on the data under test."""
    if is_base(base, datamodule):
        logger.warning(
            "LEAKAGE: the adapters %r were trained on the test images of %s, which is the data under test. The figures "
            "will be too good and say nothing about new data. Use adapters='auto', or others.",
            source,
            base,
        )
