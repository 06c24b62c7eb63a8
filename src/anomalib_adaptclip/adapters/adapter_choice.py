# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Choice of adapters: which fit the backbone and the data under test, and where their file is."""

import logging
from pathlib import Path

from lightning.pytorch import LightningDataModule

from anomalib_adaptclip.clip import TINY_FOLDER, TINY_WEIGHTS, Backbone

from .adapter_file import ADAPTER_FILE, require_adapter_file
from .leakage import is_base
from .pinning import split_pin
from .published_download import PUBLISHED_ADAPTERS, fetch_published

logger = logging.getLogger(__name__)

AUTO, NONE = "auto", "none"


def choose_adapters(backbone: Backbone, datamodule: LightningDataModule | None) -> str:
    """Make ``adapters="auto"`` concrete.

    Args:
        backbone: Backbone in use.
        datamodule: Data under test, if known.

    Returns:
        The first of the backbone's adapters, the second where the first were trained on the data under test: for
        ViT-L-14-336 ``"mvtec"``, or ``"visa"`` on MVTec AD. ``"none"`` where there are none.
    """
    names = [*backbone.adapters, NONE]
    seen = names[0] in PUBLISHED_ADAPTERS and is_base(PUBLISHED_ADAPTERS[names[0]].base, datamodule)
    return names[int(seen)]


def locate_adapters(source: str, backbone: Backbone, revision: str | None) -> Path:
    """Find the file of adapters that were named.

    Args:
        source: ``"mvtec"``, ``"visa"``, ``"generated"`` for those of `tiny`, or a path.
        backbone: Backbone in use.
        revision: Branch, tag or commit of the published files.

    Returns:
        A local file, downloaded if need be.

    Raises:
        ValueError: If there are no published adapters for the backbone.
        ConnectionError: If the download fails.
    """
    if source not in {*PUBLISHED_ADAPTERS, TINY_WEIGHTS}:
        return Path(source)
    _require_owner(source, backbone)
    return TINY_FOLDER / ADAPTER_FILE if source == TINY_WEIGHTS else fetch_published(source, revision)


def _require_owner(source: str, backbone: Backbone) -> None:
    if source not in backbone.adapters:
        owner = "ViT-L-14-336" if source in PUBLISHED_ADAPTERS else "tiny with its usual weights"
        msg = (
            f"The adapters {source!r} belong to {owner}, and the backbone is {backbone.name}. Use that "
            "backbone, a file of adapters trained for this one, or adapters='none'."
        )
        raise ValueError(msg)


def require_revision(revision: str | None, source: str, backbone: Backbone) -> None:
    """Check that a revision is given only where published adapters may be downloaded.

    Args:
        revision: Branch, tag or commit of the published files.
        source: Adapters that were asked for.
        backbone: Backbone in use.

    Raises:
        ValueError: If there is nothing to download.
    """
    names = backbone.adapters if source == AUTO else (source,)
    if revision is not None and not {*names} & {*PUBLISHED_ADAPTERS}:
        msg = (
            f"revision is of the published adapters, and with adapters={source!r} and the backbone {backbone.name} "
            f"none are downloaded; got {revision!r}. Leave it out."
        )
        raise ValueError(msg)


def require_adapters(source: str, backbone: Backbone) -> None:
    """Check that adapters can be had, before CLIP is built: their pin, and that there is such a file.

    Args:
        source: Adapters that were asked for.
        backbone: Backbone in use.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the pin is none, or there are no such adapters for the backbone.
    """
    name, _ = split_pin(source)
    if name in PUBLISHED_ADAPTERS:
        _require_owner(name, backbone)
    elif name not in {AUTO, NONE, TINY_WEIGHTS}:
        require_adapter_file(Path(name))


def warn_of_absence(backbone: Backbone) -> None:
    """Log what it means to have no adapters."""
    logger.warning(
        "There are no trained adapters for the backbone %s. Without them zero-shot is plain CLIP with static texts, "
        "and few-shot adds only the alignment with the prompts: expect clearly worse results. Train adapters on a base "
        "data set with anomalies and pass them as adapters=PATH.",
        backbone.name,
    )
