# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The adapters of a model: those that were asked for, those in use, and where they came from."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from lightning.pytorch import LightningDataModule

from anomalib_adaptclip.clip import Backbone, ClipIdentity

from .adapter_choice import AUTO, NONE, choose_adapters, locate_adapters, warn_of_absence
from .adapter_file import AdapterFile, read_adapter_file
from .leakage import Base, is_base, warn_of_leakage
from .pinning import require_sha256, split_pin
from .published_download import PUBLISHED_ADAPTERS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class AdapterOrigin:
    """Where the adapters in use came from; a checkpoint keeps it.

    Attributes:
        source: ``"mvtec"``, ``"visa"``, ``"generated"``, ``"none"``, or the path of a file.
        sha256: Hash of the file, in hexadecimal. Empty without adapters.
        bases: What they were trained on, the last first. Empty if unknown.
    """

    source: str = NONE
    sha256: str = ""
    bases: tuple[Base, ...] = ()


class AdapterSlot:
    """The place of a model's adapters: which ones were asked for, and which ones are in use.

    Args:
        source: ``"auto"``, ``"none"``, a name, or the path of a file, the last two pinned or not.
        backbone: Backbone of the model.
        revision: Branch, tag or commit of the published files. The newest by default.

    Attributes:
        origin: Where the adapters in use came from.
        is_automatic: Whether they are to follow the data under test.
    """

    def __init__(self, source: str, backbone: Backbone, revision: str | None = None) -> None:
        self.source, self._pin = split_pin(source)
        self.backbone = backbone
        self.revision = revision
        self.origin = AdapterOrigin()
        self.is_automatic = self.source == AUTO

    @property
    def is_empty(self) -> bool:
        """Whether the model is to have no adapters at all."""
        return self.source == NONE or (self.source == AUTO and not self.backbone.adapters)

    def read_known(self) -> AdapterFile | None:
        """Read the adapters that no data has a say in; None where there are none, or the data decides."""
        if self.is_automatic and len(self.backbone.adapters) == 1:
            return self._read(self.backbone.adapters[0])
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
        path = locate_adapters(source, self.backbone, self.revision)
        if self._pin and path.is_file():
            require_sha256(path, self._pin)
        return read_adapter_file(path)

    def install(self, file: AdapterFile, load: Callable[[AdapterFile], object], clip: ClipIdentity) -> None:
        """Put adapters that were read into a model, and remember where they came from.

        Args:
            file: The adapters.
            load: Loads them into the model.
            clip: The model's CLIP.

        Raises:
            ValueError: If they belong to another CLIP, or do not fit the model.
        """
        file.require_same_clip(clip)
        load(file)
        published = PUBLISHED_ADAPTERS.get(self.source)
        bases = (Base(published.base),) if published else file.header.bases
        self.origin = AdapterOrigin(self.source, file.sha256, bases)
        logger.info("Adapters %s loaded from %s, SHA-256 %s.", self.source, file.path, file.sha256)

    def restore(self, origin: AdapterOrigin, *, is_automatic: bool = False) -> None:
        """Take over what a checkpoint says; its adapters stay, whatever the data, unless it had none yet."""
        self.origin, self.is_automatic = origin, is_automatic

    def saw(self, datamodule: LightningDataModule | None) -> bool:
        """Whether the adapters in use were trained on the data under test."""
        return bool(self._leaking(datamodule))

    def warn_of_leakage(self, datamodule: LightningDataModule | None) -> None:
        """Log loudly if the adapters were trained on the data under test."""
        for name in self._leaking(datamodule):
            warn_of_leakage(self.origin.source, name)

    def _leaking(self, datamodule: LightningDataModule | None) -> list[str]:
        """Names of the bases that are under test."""
        return [base.name for base in self.origin.bases if is_base(base.name, datamodule, base.categories)]
