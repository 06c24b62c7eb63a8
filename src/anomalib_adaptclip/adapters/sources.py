# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Where a model's adapters come from: choosing and finding them, and whether they saw the data under test."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch import LightningDataModule

from anomalib_adaptclip.clip import TINY_FOLDER, TINY_WEIGHTS, Backbone

from .adapter_file import ADAPTER_FILE, AdapterFile, read_adapter_file
from .published import PUBLISHED_ADAPTERS, fetch_published

logger = logging.getLogger(__name__)

AUTO, NONE = "auto", "none"


@dataclass(frozen=True)
class AdapterOrigin:
    """Where the adapters in use came from; a checkpoint keeps it.

    Attributes:
        source: ``"mvtec"``, ``"visa"``, ``"generated"``, ``"none"``, or the path of a file.
        sha256: Hash of the file, in hexadecimal. Empty without adapters.
        base: Class of the data module that they were trained on. Empty if unknown.
        categories: Its categories that were trained on. Empty for all, or if unknown.
    """

    source: str = NONE
    sha256: str = ""
    base: str = ""
    categories: tuple[str, ...] = ()


class AdapterSlot:
    """The place of a model's adapters: which ones were asked for, and which ones are in use.

    Args:
        source: ``"auto"``, ``"none"``, a name, or the path of a file.
        backbone: Backbone of the model.
        revision: Branch, tag or commit of the published files. The newest by default.

    Attributes:
        origin: Where the adapters in use came from.
        is_automatic: Whether they are to follow the data under test.
    """

    def __init__(self, source: str, backbone: Backbone, revision: str | None = None) -> None:
        self.source = source
        self.backbone = backbone
        self.revision = revision
        self.origin = AdapterOrigin()
        self.is_automatic = source == AUTO

    @property
    def is_empty(self) -> bool:
        """Whether the model is to have no adapters at all."""
        return self.source == NONE or (self.source == AUTO and not self.backbone.adapters)

    def read_named(self) -> AdapterFile | None:
        """Read the adapters that were asked for by name or path; None where there are none, or the data decides."""
        return None if self.source in {AUTO, NONE} else self._read(self.source)

    def resolve(self, datamodule: LightningDataModule | None) -> AdapterFile | None:
        """Read the adapters that fit the data under test, where they are automatic and not in use already.

        Args:
            datamodule: Data under test, if known.

        Raises:
            ConnectionError: If they cannot be downloaded.
        """
        if not self.is_automatic:
            return None
        choice = choose_adapters(self.backbone, datamodule)
        if choice == NONE:
            self.is_automatic = False  # for this backbone it stays so: one warning is enough
            warn_of_absence(self.backbone)
        return None if choice in {NONE, self.origin.source} else self._read(choice)

    def _read(self, source: str) -> AdapterFile:
        self.source = source
        return read_adapter_file(locate_adapters(source, self.backbone, self.revision))

    def accept(self, file: AdapterFile) -> None:
        """Remember that a file that was read is in use now."""
        published = PUBLISHED_ADAPTERS.get(self.source)
        base = published.base if published else file.header.base
        self.origin = AdapterOrigin(self.source, file.sha256, base, file.header.base_categories)
        logger.info("Adapters %s loaded from %s, SHA-256 %s.", self.source, file.path, file.sha256)

    def restore(self, origin: AdapterOrigin) -> None:
        """Take over what a checkpoint says; its adapters stay, whatever the data."""
        self.origin, self.is_automatic = origin, False

    def saw(self, datamodule: LightningDataModule | None) -> bool:
        """Whether the adapters in use were trained on the data under test."""
        return is_base(self.origin.base, datamodule, self.origin.categories)

    def warn_of_leakage(self, datamodule: LightningDataModule | None) -> None:
        """Log loudly if the adapters were trained on the data under test."""
        if self.saw(datamodule):
            logger.warning(
                "LEAKAGE: the adapters %r were trained on the test images of %s, which is the data under test. The "
                "figures will be too good and say nothing about new data. Use adapters='auto', or others.",
                self.origin.source,
                self.origin.base,
            )


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
    if source not in backbone.adapters:
        owner = "ViT-L-14-336" if source in PUBLISHED_ADAPTERS else "tiny with its usual weights"
        msg = (
            f"The adapters {source!r} belong to {owner}, and the backbone is {backbone.name}. Use that "
            "backbone, a file of adapters trained for this one, or adapters='none'."
        )
        raise ValueError(msg)
    return TINY_FOLDER / ADAPTER_FILE if source == TINY_WEIGHTS else fetch_published(source, revision)


def warn_of_absence(backbone: Backbone) -> None:
    """Log what it means to have no adapters."""
    logger.warning(
        "There are no trained adapters for the backbone %s. Without them zero-shot is plain CLIP with static texts, "
        "and few-shot adds only the alignment with the prompts: expect clearly worse results. Train adapters on a base "
        "data set with anomalies and pass them as adapters=PATH.",
        backbone.name,
    )
