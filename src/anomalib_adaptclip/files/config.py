# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Configuration files: YAML and overrides, read into a dataclass by OmegaConf. No code that they name is run."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from itertools import accumulate
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .yaml_text import INTERPOLATION, MAX_VALUES, Source, check_text, join, read_text, shown

Schema = TypeVar("Schema")
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "null"}


@dataclass
class ClassSpec:
    """A class and its arguments, as in anomalib's YAML.

    Attributes:
        class_path: Name of the class, or its dotted path.
        init_args: Arguments of its constructor.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)


def read_config(path: Path, schema: type[Schema], overrides: Sequence[str] = ()) -> Schema:
    """Read a YAML file into a dataclass.

    A value may refer to another one, ``${seeds}``, or to an environment variable, ``${oc.env:DATASETS}/visa``.

    Args:
        path: YAML file with the fields of the dataclass as keys.
        schema: Dataclass. Its fields are scalars, ``Any``, dataclasses, and lists and dictionaries of them.
        overrides: Values that win over the file's, such as ``"seeds=[10]"`` or ``"data_sets.visa.pixel_size=256"``.
            Mappings are merged, all else is replaced.

    Returns:
        An instance of the dataclass.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If something is wrong. The file, the line or the override, and the key are named.
    """
    text = read_text(path)
    places = check_text(text, Source(str(path)))
    try:
        tree = _load(OmegaConf.create(text), schema, places)
        for override in overrides:
            own_places = _check_override(override, str(path))
            tree = _merge(tree, _load(OmegaConf.from_dotlist([override]), schema, own_places))
            key = override.partition("=")[0]  # sections above it keep their lines
            places |= {name: at for name, at in own_places.items() if name.startswith(key) or name not in places}
        _require_resolvable(tree, places)  # before OmegaConf sees it, which would not end
        config = OmegaConf.merge(OmegaConf.structured(schema), tree)
        for key in sorted(OmegaConf.missing_keys(config)):
            _fail(places, key, "must be given")
        OmegaConf.resolve(config)
        _require_type(OmegaConf.to_container(config), schema, "", places)
        return cast("Schema", OmegaConf.to_object(config))
    except (OmegaConfBaseException, TypeError, yaml.YAMLError) as error:
        _fail(places, getattr(error, "full_key", None) or "", f"cannot be read: {str(error).splitlines()[0]}")


def _load(content: DictConfig | ListConfig, schema: type[Any], places: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Keys and values, interpolations as they are written, checked against the types of a dataclass."""
    tree = OmegaConf.to_container(content, resolve=False)
    _require_type(tree, schema, "", places)
    return tree


def _merge(tree: Any, other: Any) -> Any:  # noqa: ANN401
    """Put one tree over another. Only mappings are merged."""
    if not (isinstance(tree, dict) and isinstance(other, dict)):
        return other
    return tree | {name: _merge(tree.get(name), part) for name, part in other.items()}


def _check_override(override: str, name: str) -> dict[str, str]:
    source = Source(f"{name}, override {override!r}", has_lines=False)
    key, equals, value = override.partition("=")
    if not (equals and value.strip() and re.fullmatch(r"[^\s.\[\]{}$]+(\.[^\s.\[\]{}$]+)*", key)):
        msg = f"{source.name}: expected KEY=VALUE, such as seeds=[10]; the parts of a key are separated by dots."
        raise ValueError(msg)
    sections = accumulate(key.split("."), join)
    return {"": source.name} | dict.fromkeys(sections, source.name) | check_text(value, source, key)


def _fail(places: Mapping[str, str], key: str, problem: str) -> NoReturn:
    """Raise the error of a key, with the place of the key, or of the nearest above it."""
    known = key
    while known not in places:
        known = known[: max(known.rfind("."), known.rfind("["), 0)]
    msg = f"{places[known]}: {key or 'this'} {problem}."
    raise ValueError(msg)


def _require_type(value: Any, hint: Any, key: str, places: Mapping[str, str]) -> None:  # noqa: ANN401
    """Check a value, and all below it, against the type of a field. Nothing is converted, unlike in OmegaConf.

    Interpolations pass: what they stand for is checked when they are resolved.
    """
    if isinstance(value, str) and "${" in value:
        return
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    fitting = [kind for kind in kinds if _fits(value, kind)]
    if not fitting:
        quotes = ". Put quotes around it" if str in kinds and type(value) in {int, float, bool} else ""
        _fail(places, key, f"must be {' or '.join(map(_in_words, kinds))}, got {shown(value)}{quotes}")
    kind = fitting[0]
    if is_dataclass(kind):
        fields = get_type_hints(kind)
        for name, part in value.items():
            if name not in fields:
                _fail(places, join(key, name), f"is no known key. Expected here: {', '.join(fields)}")
            _require_type(part, fields[name], join(key, name), places)
    elif get_origin(kind) is dict:
        for name, part in value.items():
            _require_type(part, get_args(kind)[1], join(key, name), places)
    elif get_origin(kind) is list:
        for number, part in enumerate(value):
            _require_type(part, get_args(kind)[0], f"{key}[{number}]", places)


def _fits(value: Any, kind: Any) -> bool:  # noqa: ANN401
    expected = dict if is_dataclass(kind) else get_origin(kind) or kind
    return expected is Any or type(value) is expected or (expected is float and type(value) is int)


def _in_words(kind: Any) -> str:  # noqa: ANN401
    """What a type expects, for messages."""
    if is_dataclass(kind):
        return f"a mapping with the keys {', '.join(get_type_hints(kind))}"
    if get_origin(kind) is dict:
        return "a mapping (name: value)"
    if get_origin(kind) is list:
        return "a list ([a, b])"
    return _WORDS[kind]


def _require_resolvable(tree: Any, places: Mapping[str, str]) -> None:  # noqa: ANN401
    """Check that all interpolations lead somewhere, and that they do not multiply without bound."""
    size = 0
    for key, cost in _expand(tree, "", tree, (), places):
        size += cost
        if size > MAX_VALUES:
            _fail(places, key, f"makes more than {MAX_VALUES} values of this file, interpolations included. Shorten it")


def _expand(
    value: Any,  # noqa: ANN401
    key: str,
    tree: Any,  # noqa: ANN401
    chain: tuple[str, ...],
    places: Mapping[str, str],
) -> Iterator[tuple[str, int]]:
    """Walk through a value and what its interpolations stand for; each step is told with its cost.

    Args:
        value: Any part of the tree.
        key: Its full key.
        tree: The whole.
        chain: Keys whose interpolation led here.
        places: Of the keys, for messages.
    """
    yield key, 1 + (len(value) // 100 if isinstance(value, str) else 0)
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _expand(part, key if chain else join(key, str(name)), tree, chain, places)
    elif isinstance(value, list):
        for part in value:
            yield from _expand(part, key, tree, chain, places)
    elif isinstance(value, str):
        for found in INTERPOLATION.finditer(value):
            if found["variable"]:
                _require_variable(found, key, places)
            elif found["key"] in chain:
                _fail(places, key, f"refers to itself: {' -> '.join([*chain, found['key']])}. Give a value")
            else:
                target = _look_up(found["key"], key, tree, places)
                yield from _expand(target, key, tree, (*chain, found["key"]), places)


def _require_variable(found: re.Match[str], key: str, places: Mapping[str, str]) -> None:
    name = found["variable"]
    if not os.environ.get(name, found["default"]):
        example = f"${{oc.env:{name},datasets}}"
        _fail(places, key, f"needs the environment variable {name}. Set it, or give a default as in {example}")
    if "${" in os.environ.get(name, ""):  # OmegaConf would interpolate it once more
        _fail(places, key, f"needs the environment variable {name} without ${{...}}, got {shown(os.environ[name])}")


def _look_up(wanted: str, key: str, tree: Any, places: Mapping[str, str]) -> Any:  # noqa: ANN401
    found = tree
    for part in wanted.split("."):
        step = int(part) if isinstance(found, list) and part.isdecimal() else part
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            _fail(places, key, f"refers to {wanted}, which is no key of this file. Correct it")
    return found
