# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Builds typed records out of plain data, as files hold it: mappings, lists, text, numbers. Nothing is converted."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

Record = TypeVar("Record")


def build_record(kind: type[Record], value: object, name: str = "it") -> Record:
    """Build a record.

    Args:
        kind: Dataclass whose fields are dataclasses, named tuples, tuples, literals, text, booleans and numbers.
        value: Mapping with all its fields; lists stand for tuples.
        name: Name of the value, for messages.

    Returns:
        The record.

    Raises:
        ValueError: If a part has another type, is missing, or is unknown. It is named.
    """
    found: Record = _build(kind, value, name)
    return found


def _build(kind: Any, value: Any, name: str) -> Any:  # noqa: ANN401
    if is_dataclass(kind):
        return _build_dataclass(kind, value, name)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {UnionType, Union}:
        return (
            None if value is None else _build(next(part for part in arguments if part is not type(None)), value, name)
        )
    if origin is Literal:
        return _require(value in arguments, value, name, f"one of {list(arguments)}")
    if origin is tuple:
        count = None if Ellipsis in arguments else len(arguments)
        fits = isinstance(value, list) and count in {None, len(value)}
        _require(fits, value, name, f"a list of {count}" if count else "a list")
        return tuple(_build(arguments[0], part, f"{name}[{number}]") for number, part in enumerate(value))
    if hasattr(kind, "_fields"):
        return _build_named_tuple(kind, value, name)
    fits = type(value) is kind or (kind is float and type(value) is int)
    return _require(fits, value, name, f"of type {kind.__name__}")


def _build_named_tuple(kind: Any, value: Any, name: str) -> Any:  # noqa: ANN401
    hints = get_type_hints(kind)
    _require(isinstance(value, list) and len(value) == len(hints), value, name, f"a list of {', '.join(hints)}")
    parts = zip(hints.items(), value, strict=True)
    return kind(*(_build(hint, part, f"{name}.{key}") for (key, hint), part in parts))


def _build_dataclass(kind: Any, value: Any, name: str) -> Any:  # noqa: ANN401
    names = [one.name for one in fields(kind)]
    _require(isinstance(value, Mapping) and {*value} == {*names}, value, name, f"a mapping of {', '.join(names)}")
    hints = get_type_hints(kind)
    return kind(**{key: _build(hints[key], value[key], f"{name}.{key}") for key in names})


def _require(holds: bool, value: Any, name: str, expected: str) -> Any:  # noqa: ANN401
    if not holds:
        msg = f"{name} should be {expected}, and is {repr(value)[:100]}"
        raise ValueError(msg)
    return value
