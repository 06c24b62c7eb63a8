# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Whole data sets: all categories together, while each of anomalib's data modules holds one."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import anomalib.data
import pandas as pd
from anomalib.data import AnomalibDataModule
from anomalib.data.utils import LabelName, ValSplitMode

from anomalib_adaptclip.files.image_reader import ImageReader

from .constructor_arguments import constructor_arguments
from .messages import abbreviate


class DataSetSamples(NamedTuple):
    """The files of a data set, all selected categories together.

    Attributes:
        queries: Images of the test splits: columns ``image_path``, ``mask_path``, ``label_index``, ``split``,
            ``category``, and ``has_mask``, whether it is known which pixels are abnormal.
        prompts: Normal images of the train split of each category, in the order of file names.
        has_masks: Whether every abnormal query has a mask.
    """

    queries: pd.DataFrame
    prompts: dict[str, list[str]]
    has_masks: bool

    @property
    def abnormal(self) -> pd.DataFrame:
        """The abnormal queries."""
        return self.queries[self.queries.label_index == LabelName.ABNORMAL]

    @property
    def categories(self) -> list[str]:
        """Names of the categories."""
        return list(self.prompts)


@dataclass(frozen=True)
class DataSource:
    """A data set, given by the class of an anomalib data module.

    Attributes:
        name: Name of the data module's class, such as ``"MVTecAD"`` or ``"Folder"``, or its dotted path.
        arguments: Arguments of its constructor, without the category.
        wanted: Categories to use. By default all that exist.
        excluded: Categories to leave out.
        seed: Seed for what the data module draws, such as the images of its splits, unless its arguments have one.

    Raises:
        ValueError: If there is no such data module.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    wanted: Sequence[str] | None = None
    excluded: Sequence[str] = ()
    seed: int | None = None

    def __post_init__(self) -> None:
        """Check the name of the class and its arguments at once."""
        unknown = set(self.arguments) - set(self._parameters)
        if unknown:
            msg = f"{self.name} has no arguments {sorted(unknown)}; it has {[*self._parameters]}."
            raise ValueError(msg)
        if "category" in self.arguments:
            msg = (
                f"The arguments of {self.name} name the category {self.arguments['category']!r}, and the categories in "
                "use are named apart: give base_categories or target_categories."
            )
            raise ValueError(msg)

    @cached_property
    def module_class(self) -> type[AnomalibDataModule]:
        """The data module's class."""
        module, _, attribute = self.name.rpartition(".")
        try:
            found = getattr(import_module(module) if module else anomalib.data, attribute, None)
        except ImportError:
            found = None
        if not (isinstance(found, type) and issubclass(found, AnomalibDataModule)):
            msg = (
                f"There is no anomalib data module {self.name!r}; give a class such as MVTecAD, Visa, BTech or Folder."
            )
            raise ValueError(msg)  # noqa: TRY004  # the name is wrong, not its type
        return found

    @property
    def label(self) -> str:
        """Name of the data set in messages: that of the class, or the argument ``name`` of a ``Folder``."""
        return str(self.arguments.get("name", self.module_class.__name__))

    @cached_property
    def categories(self) -> list[str]:
        """Names of the selected categories; the name of the data set if it has no categories.

        Raises:
            ValueError: If a selected category does not exist, or none is left.
        """
        if "category" not in self._parameters:
            return [self.label]
        known = self._known_categories
        wanted = list(known if self.wanted is None else self.wanted)
        missing = [name for name in (*wanted, *self.excluded) if name not in known]
        if missing:
            msg = f"{self.name} has no categories {missing}; it has {known} in {self._root}."
            raise ValueError(msg)
        taken = [name for name in wanted if name not in self.excluded]
        if not taken:
            msg = f"{self.name} is left with no categories; it has {known}. Name some, or hold out fewer."
            raise ValueError(msg)
        return taken

    def prepare(self) -> None:
        """Download, unpack or draw the files that are missing."""
        for category in self.categories:
            self._build(category).prepare_data()

    def collect(self, *, as_base: bool) -> DataSetSamples:
        """List the files of all categories.

        Args:
            as_base: Require what training needs: normal train images and test images. Abnormal images may lack a mask;
                those that there are must have the right size.

        Returns:
            The files, in the order of their names.

        Raises:
            ValueError: If a category lacks something that is required. The message names it.
        """
        tables, prompts = [], {}
        for category in self.categories:
            module = self._read(category)
            tables.append(module.test_data.samples.assign(category=category))
            train = module.train_data.samples
            prompts[category] = sorted(str(path) for path in train.image_path[train.label_index == LabelName.NORMAL])
        queries = pd.concat(tables, ignore_index=True)
        if as_base:
            _require_complete(self.label, queries, prompts)
        unmasked = queries.image_path.isin(images_without_mask(queries))
        queries = queries.assign(has_mask=~unmasked)
        has_masks = not unmasked.any()
        has_some = bool((queries.has_mask & (queries.label_index == LabelName.ABNORMAL)).any())
        queries.attrs["task"] = "segmentation" if has_masks or (as_base and has_some) else "classification"
        return DataSetSamples(queries, prompts, has_masks)

    def _read(self, category: str) -> AnomalibDataModule:
        module = self._build(category)
        try:
            module.setup()
        except Exception as error:  # anomalib's errors on unpaired masks or empty folders do not name the category
            if self._is_ours:
                raise
            msg = (
                f"The category {category} of {self.label} cannot be read: {error} Check that it has train images, test "
                "images and a mask for each abnormal one, or leave it out."
            )
            raise ValueError(msg) from error
        return module

    def _build(self, category: str) -> AnomalibDataModule:
        arguments = dict(self.arguments)
        if "category" in self._parameters:
            arguments["category"] = category
        if (
            "val_split_mode" in self._parameters
        ):  # otherwise some data modules take half of the test split for validation
            arguments.setdefault("val_split_mode", ValSplitMode.NONE)
        if self._parameters.get("seed", 0) is None:  # of draws that are new each time otherwise
            arguments.setdefault("seed", self.seed)
        return self.module_class(**arguments)

    @property
    def _is_ours(self) -> bool:
        """Whether the data module is one of this package's."""
        return self.module_class.__module__.startswith("anomalib_adaptclip.")

    @cached_property
    def _parameters(self) -> dict[str, Any]:
        return constructor_arguments(self.module_class)

    @property
    def _root(self) -> Path:
        return Path(self.arguments.get("root") or self._parameters["root"])

    @cached_property
    def _known_categories(self) -> list[str]:
        """Folders with a train split; if there are none yet, the categories that anomalib lists."""
        listed = listed_categories(self.module_class)
        if self._is_ours:
            return listed  # not yet drawn, perhaps
        folders = sorted(path.parent.name for path in self._root.glob("*/train") if path.is_dir())
        folders = folders or sorted(path.parent.name for path in self._root.glob("visa_pytorch/*/train"))
        return folders or listed


def listed_categories(module_class: type[AnomalibDataModule]) -> list[str]:
    """List the categories of a data module.

    Args:
        module_class: Class with a constant ``CATEGORIES``, or a class of anomalib beside whose data set there is one.

    Returns:
        Their names, none if there is no such constant.
    """
    data_set = sys.modules.get(module_class.__module__.replace(".datamodules.", ".datasets."))
    for place in (module_class, data_set):
        if categories := getattr(place, "CATEGORIES", None):
            return [str(category) for category in categories]
    return []


def images_without_mask(queries: pd.DataFrame) -> list[str]:
    """List the abnormal images that have no mask."""
    abnormal = queries[queries.label_index == LabelName.ABNORMAL]
    return [row.image_path for row in abnormal.itertuples() if not (_names_mask(row) and Path(row.mask_path).is_file())]


def _names_mask(row: Any) -> bool:  # noqa: ANN401
    return isinstance(row.mask_path, str | Path) and bool(row.mask_path)


def _require_complete(label: str, queries: pd.DataFrame, prompts: Mapping[str, Sequence[str]]) -> None:
    """Check that every category has the images that training needs, and the masks that it names."""
    for category, files in prompts.items():
        own = queries[queries.category == category]
        where = f"The category {category} of {label}"
        if not files:
            msg = f"{where} has no normal train images, and prompts are drawn from them. Add some or leave it out."
            raise ValueError(msg)
        if own.empty:
            msg = f"{where} has no test images, and the adapters are trained on them. Add some or leave it out."
            raise ValueError(msg)
        named = own[[_names_mask(row) for row in own.itertuples()]]
        if absent := images_without_mask(named):
            msg = (
                f"{where} names masks of {len(absent)} abnormal images, and these files are not there: "
                f"{abbreviate(absent)}. Add the masks or leave it out."
            )
            raise ValueError(msg)
        _require_equal_sizes(where, named)


def _require_equal_sizes(where: str, queries: pd.DataFrame) -> None:
    """Check that each mask has the size of its image. Only the headers of the files are read."""
    abnormal = queries[queries.label_index == LabelName.ABNORMAL]
    unequal, reader = [], ImageReader()
    for row in abnormal.itertuples():
        image, mask = (reader.size(path) for path in (row.image_path, row.mask_path))
        if image != mask:
            unequal.append(f"{row.mask_path} is {mask[0]} x {mask[1]}, its image {image[0]} x {image[1]}")
    if unequal:
        msg = f"{where} has {len(unequal)} masks of another size than their image: {abbreviate(unequal)}. Correct them."
        raise ValueError(msg)
