# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Builds models and data modules that are named as in anomalib's YAML, by ``class_path`` and ``init_args``."""

from dataclasses import asdict, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, TypeVar, cast

from anomalib import LearningType
from anomalib.data import AnomalibDataModule
from anomalib.models.components import AnomalibModule
from jsonargparse import ArgumentError, ArgumentParser

from anomalib_adaptclip.data.constructor_arguments import constructor_arguments
from anomalib_adaptclip.files.config import ClassSpec
from anomalib_adaptclip.files.messages import innermost

Part = TypeVar("Part")


def class_of(kind: type[Part], spec: ClassSpec) -> type[Part]:
    """Find the class of a model or data module.

    Args:
        kind: Base class that the class must have.
        spec: Name or dotted path of the class, and its arguments.

    Returns:
        The class.

    Raises:
        ValueError: If there is no such class, or its arguments are wrong.
    """
    _, parsed = _parse(kind, spec)
    return cast("type[Part]", resolve_name(parsed.part.class_path))


def build(kind: type[Part], spec: ClassSpec, **arguments: Any) -> Part:  # noqa: ANN401
    """Build a model or data module.

    Args:
        kind: Base class that the class must have.
        spec: Name or dotted path of the class, and its arguments.
        **arguments: Arguments that override those of ``spec``.

    Returns:
        The instance.

    Raises:
        ValueError: If there is no such class, its arguments are wrong, or its constructor refuses them.
    """
    parser, parsed = _parse(kind, replace(spec, init_args=spec.init_args | arguments))
    try:
        return cast("Part", parser.instantiate_classes(parsed).part)
    except ValueError as error:
        raise ValueError(innermost(str(error))) from error


def takes(part: type[Any], argument: str) -> bool:
    """Tell whether the constructor of a class has an argument.

    Args:
        part: Class.
        argument: Name of the argument.
    """
    return argument in constructor_arguments(part)


def is_zero_shot(model: type[AnomalibModule]) -> bool:
    """Tell whether a model without the argument ``k_shot`` says of itself that it sees no normal images.

    Args:
        model: Class of the model. It is not built, because that may download weights.
    """
    if takes(model, "k_shot"):
        return False
    try:
        return bool(model.__new__(model).learning_type == LearningType.ZERO_SHOT)
    except Exception:  # noqa: BLE001  # it depends on how the model is built
        return False


def relative_path(path: str, datamodule: AnomalibDataModule) -> str:
    """Return the path of an image relative to the root of its data set, or the absolute path if it lies elsewhere.

    Args:
        path: Path of the image.
        datamodule: Data module of the data set.
    """
    root = Path(getattr(datamodule, "root", None) or ".").resolve()  # like anomalib, because it may be a link
    resolved = Path(path).resolve()
    return (resolved.relative_to(root) if resolved.is_relative_to(root) else Path(path).absolute()).as_posix()


def _parse(kind: type[Part], spec: ClassSpec) -> tuple[ArgumentParser, Any]:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "part", required=True)
    try:
        return parser, parser.parse_object({"part": asdict(spec)})
    except (ArgumentError, TypeError, ValueError) as error:
        what = f"{spec.class_path} with {spec.init_args}"
        msg = f"{what} is not an {kind.__name__} that can be built: {innermost(str(error))}"
        raise ValueError(msg) from error
