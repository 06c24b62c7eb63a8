# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Arguments of the wrong type, told by name before they are used: annotations are checked when a function is called.

Callers hand over their own ``locals()``. A decorator would stand between the constructors of a class and its subclass,
where Lightning looks for hyper-parameters.
"""

import inspect
import math
import types
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

_UNIONS = (Union, types.UnionType)
_TOO_LARGE = 2**63  # for torch


def require_types(function: Callable[..., object], values: Mapping[str, object]) -> None:
    """Check arguments by the annotations of a function. Defaults are right as they are.

    NumPy's numbers pass for Python's, and lists for tuples, as YAML has them. Numbers are finite and no booleans;
    texts are not empty. Of names out of a few only the type is checked, see
    :func:`~anomalib_adaptclip.choices.require_choice`.

    Args:
        function: Function that was called, or a data class.
        values: Arguments by name; others are passed over.

    Raises:
        ValueError: If one has another type than its annotation says.
    """
    hints = get_type_hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in values or name not in hints or parameter.kind == parameter.VAR_KEYWORD:
            continue
        value = values[name]
        if value is not parameter.default and not _fits(value, hints[name]):
            msg = f"{name} must be {describe(hints[name])}; got {_abbreviated(value)}."
            raise ValueError(msg)


def require_shares(**values: float) -> None:
    """Check that numbers are shares of a whole, from 0 to 1.

    Args:
        **values: Numbers by the names of their arguments.

    Raises:
        ValueError: If one is outside.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            msg = f"{name} is a share, from 0 to 1; got {value}."
            raise ValueError(msg)


def require_at_least(least: int, **values: int) -> None:
    """Check that numbers are not too small.

    Args:
        least: Smallest number that is right.
        **values: Numbers by the names of their arguments.

    Raises:
        ValueError: If one is smaller.
    """
    for name, value in values.items():
        if value < least:
            msg = f"{name} must be at least {least}; got {value}."
            raise ValueError(msg)


def describe(hint: Any) -> str:  # noqa: ANN401  # types know no type of annotations
    """Say in words what an annotation allows, such as ``"an int or None"``."""
    if get_origin(hint) in _UNIONS:
        parts = list(dict.fromkeys(map(describe, get_args(hint))))
        if Path in get_args(hint) and str in get_args(hint):
            parts = ["a path", *(part for part in parts if part not in {describe(Path), describe(str)})]
        return " or ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))
    if get_origin(hint) is Literal:
        return f"one of {list(get_args(hint))}"
    if get_origin(hint) is tuple and Ellipsis not in get_args(hint):
        return f"({', '.join(map(describe, get_args(hint)))})"
    if _is_sequence(hint):
        return f"a list, each {describe(get_args(hint)[0])}"
    words = {int: "an int", float: "a finite number", bool: "True or False", str: "a text"}
    words |= {type(None): "None", dict: "a dictionary", Mapping: "a dictionary"}
    origin = get_origin(hint) or hint
    return words.get(origin) or f"a {getattr(origin, '__name__', origin)}"


def _is_sequence(hint: Any) -> bool:  # noqa: ANN401
    return get_origin(hint) in {Sequence, list, tuple}


def _fits(value: object, hint: Any) -> bool:  # noqa: ANN401
    if get_origin(hint) in _UNIONS:
        return any(_fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Literal:
        return type(value) in {type(choice) for choice in get_args(hint)}
    if _is_sequence(hint):
        return _fits_sequence(value, hint)
    if get_origin(hint) in {dict, Mapping}:
        return isinstance(value, Mapping) and all(_fits(key, get_args(hint)[0]) for key in value)
    return _fits_class(value, get_origin(hint) or hint)


def _fits_sequence(value: object, hint: Any) -> bool:  # noqa: ANN401
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return False
    parts = get_args(hint)
    if get_origin(hint) is not tuple or Ellipsis in parts:
        return all(_fits(item, parts[0]) for item in value)
    return len(value) == len(parts) and all(map(_fits, value, parts))


def _fits_class(value: object, cls: Any) -> bool:  # noqa: ANN401
    if cls is bool:
        return isinstance(value, bool | np.bool_)
    if cls is int:
        return not isinstance(value, bool) and isinstance(value, Integral) and abs(int(value)) < _TOO_LARGE
    if cls is float:
        return not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
    if cls is str:
        return isinstance(value, str) and value != ""
    try:
        return isinstance(value, cls)
    except TypeError:  # no class to compare with: anything, or a protocol
        return True


def _abbreviated(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 100 else f"{text[:100]}..."
