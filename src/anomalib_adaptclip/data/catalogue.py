# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The catalogue of the paper's twelve data sets, which are configured in ``configs/data``."""

from pathlib import Path

from anomalib.data import AnomalibDataModule
from jsonargparse import ArgumentParser

from anomalib_adaptclip.files.config import ClassSpec, read_config

from .data_source import listed_categories


def find_data_configs() -> Path:
    """Find the folder of the twelve files: inside the installed package, or in the repository."""
    shipped = Path(__file__).parents[1] / "configs" / "data"
    return shipped if shipped.is_dir() else Path(__file__).parents[3] / "configs" / "data"


def data_set_names() -> list[str]:
    """List the names of the data sets, which are the names of their files."""
    return sorted(path.stem for path in find_data_configs().glob("*.yaml"))


def read_data_spec(name: str) -> ClassSpec:
    """Read the data module's class and arguments of a data set.

    Args:
        name: Name of the data set, such as ``"mvtec"``.

    Raises:
        ValueError: If there is no such data set.
    """
    if name not in data_set_names():
        msg = f"There is no data set {name!r}; there are {', '.join(data_set_names())}."
        raise ValueError(msg)
    return read_config(find_data_configs() / f"{name}.yaml", ClassSpec)


def build_data_set(name: str, root: Path | str | None = None, category: str | None = None) -> AnomalibDataModule:
    """Build the data module of a data set as ``anomalib --data FILE`` does.

    Args:
        name: Name of the data set, such as ``"mvtec"``.
        root: Folder of the data set. By default the one in the file.
        category: Category to load. By default the one in the file.

    Returns:
        The data module. It has not been set up.

    Raises:
        ValueError: If there is no such data set.
    """
    spec = read_data_spec(name)
    given = {"root": root and str(root), "category": category}
    arguments = spec.init_args | {argument: value for argument, value in given.items() if value is not None}
    parser = ArgumentParser()
    parser.add_subclass_arguments(AnomalibDataModule, "data")
    parsed = parser.parse_object({"data": {"class_path": spec.class_path, "init_args": arguments}})
    module: AnomalibDataModule = parser.instantiate_classes(parsed).data
    return module


def categories_of_data_set(name: str) -> list[str]:
    """List the categories of a data set; there are none if it shows a single kind of object.

    Args:
        name: Name of the data set.

    Raises:
        ValueError: If there is no such data set.
    """
    return listed_categories(type(build_data_set(name)))
