# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Reads configuration files, which are YAML, and overrides into a dataclass by OmegaConf. No code is run."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from itertools import accumulate, repeat
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, NoReturn, TypeVar, cast, get_args, get_origin, get_type_hints

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from .yaml_text import INTERPOLATION, MAX_DEPTH, MAX_VALUES, Source, check_text, join, read_text, shown

Schema = TypeVar("Schema")
_WORDS = {int: "a whole number", float: "a number", str: "text", bool: "true or false", NoneType: "null"}


@dataclass
class ClassSpec:
    """A class and its arguments, as in anomalib's YAML.

    Attributes:
        class_path: Name or dotted path of the class.
        init_args: Arguments of its constructor.
    """

    class_path: str
    init_args: dict[str, Any] = field(default_factory=dict)


def read_config(
    path: Path,
    schema: type[Schema],
    overrides: Sequence[str] = (),
    find_problems: Callable[[Schema], Iterable[tuple[str, str]]] = lambda _: (),
) -> Schema:
    """Read a YAML file into a dataclass.

    A value may refer to another one, as ``${seeds}``, or to an environment variable, as ``${oc.env:DATASETS}/visa``.

    Args:
        path: YAML file with the fields of the dataclass as keys.
        schema: Dataclass, whose fields are scalars, ``Any``, dataclasses, and lists and dictionaries of them.
        overrides: Values that override those of the file, such as ``"seeds=[10]"`` or
            ``"data_sets.visa.pixel_size=256"``. Mappings are merged, all other values are replaced.
        find_problems: Finds values of the right type that make no sense, as pairs of a key and what is wrong with it.

    Returns:
        An instance of the dataclass.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If something is wrong. The message names the file, the line or the override, and the key.
    """
    text = read_text(path)
    places = check_text(text, Source(str(path)))
    try:
        tree = _load(OmegaConf.create(text), schema, places)
        for override in overrides:
            own_places = _check_override(override, str(path))
            content = _load(OmegaConf.from_dotlist([override]), schema, own_places)
            tree = _merge(tree, content, "", own_places)
            key = override.partition("=")[0]  # the sections that contain it keep their lines
            places |= {name: at for name, at in own_places.items() if name.startswith(key) or name not in places}
        _require_resolvable(tree, places)  # before OmegaConf, which might never finish
        _require_type(tree, schema, "", places, tree)
        config = OmegaConf.merge(OmegaConf.structured(schema), tree)
        for key in sorted(OmegaConf.missing_keys(config)):
            _fail(places, key, "must be given")
        OmegaConf.resolve(config)
        found = cast("Schema", OmegaConf.to_object(config))
    except (OmegaConfBaseException, TypeError, yaml.YAMLError) as error:
        _fail(
            places,
            getattr(error, "full_key", None) or "",
            f"cannot be read: {str(error).partition(chr(10))[0].rstrip('.')}",
        )
    for key, problem in find_problems(found):
        _fail(places, key, problem)
    return found


def _load(content: DictConfig | ListConfig, schema: type[Any], places: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Return keys and values with unresolved interpolations, after checking them against a dataclass."""
    tree = OmegaConf.to_container(content, resolve=False)
    _require_type(tree, schema, "", places)
    return tree


def _merge(tree: Any, other: Any, key: str, places: Mapping[str, str]) -> Any:  # noqa: ANN401
    """Apply an override to a tree. Only mappings are merged."""
    if isinstance(other, dict) and isinstance(tree, str) and "${" in tree:
        problem = f"is {shown(tree)} in the file, into which no keys can be merged. Override what it refers to"
        _fail(places, key, problem)
    if not (isinstance(tree, dict) and isinstance(other, dict)):
        return other
    return tree | {name: _merge(tree.get(name), part, join(key, name), places) for name, part in other.items()}


def _check_override(override: str, name: str) -> dict[str, str]:
    source = Source(f"{name}, override {override!r}", has_lines=False)
    key, equals, value = override.partition("=")
    is_key = re.fullmatch(r"[^\s.\[\]{}$]+(\.[^\s.\[\]{}$]+)*", key) and key.count(".") < MAX_DEPTH
    if not (equals and value.strip() and is_key):
        msg = f"{source.name}: expected KEY=VALUE, such as seeds=[10]; the parts of a key are separated by dots."
        raise ValueError(msg)
    sections = accumulate(key.split("."), join)
    return {"": source.name} | dict.fromkeys(sections, source.name) | check_text(value, source, key)


def _fail(places: Mapping[str, str], key: str, problem: str) -> NoReturn:
    """Raise the error of a key, with the place of the key or of the nearest section that contains it."""
    known = key
    while known not in places:
        known = known[: max(known.rfind("."), known.rfind("["), 0)]
    msg = f"{places[known]}: {key or 'this'} {problem}."
    raise ValueError(msg)


def _require_type(
    value: Any,  # noqa: ANN401
    hint: Any,  # noqa: ANN401
    key: str,
    places: Mapping[str, str],
    tree: Any = None,  # noqa: ANN401
) -> None:
    """Check a value, and all values in it, against the type of a field. Nothing is converted, unlike in OmegaConf.

    Args:
        value: Value to check.
        hint: Type of the field.
        key: Full key of the value.
        places: Places of the keys, for messages.
        tree: Whole configuration, in which ``${key}`` is looked up. Without it, such a value is not checked. Text from
            the environment is accepted for any scalar, because OmegaConf converts and checks it.
    """
    kinds = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if isinstance(value, str) and "${" in value:
        found = INTERPOLATION.fullmatch(value)
        if found and found["key"]:
            if tree is not None:
                _require_type(_look_up(found["key"], key, tree, places), hint, key, places, tree)
            return
        fitting = [kind for kind in kinds if kind is Any or kind in _WORDS]
    else:
        fitting = [kind for kind in kinds if _fits(value, kind)]
    if not fitting:
        quotes = ". Put quotes around it" if str in kinds and type(value) in {int, float, bool} else ""
        _fail(places, key, f"must be {' or '.join(map(_in_words, kinds))}, got {shown(value)}{quotes}")
    for inner, part, inner_hint in _parts(value, fitting[0], key, places):
        _require_type(part, inner_hint, inner, places, tree)


def _fits(value: Any, kind: Any) -> bool:  # noqa: ANN401
    expected = dict if is_dataclass(kind) else get_origin(kind) or kind
    return expected is Any or type(value) is expected or (expected is float and type(value) is int)


def _parts(value: Any, kind: Any, key: str, places: Mapping[str, str]) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Yield the full key, value and type of each item of a container, and nothing for a scalar."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        for name, part in value.items():
            if name not in hints:
                _fail(places, join(key, name), f"is not a known key. Expected here: {', '.join(hints)}")
            yield join(key, name), part, hints[name]
    elif get_origin(kind) is dict:
        yield from ((join(key, name), part, get_args(kind)[1]) for name, part in value.items())
    elif get_origin(kind) is list:
        yield from ((f"{key}[{number}]", part, get_args(kind)[0]) for number, part in enumerate(value))


def _in_words(kind: Any) -> str:  # noqa: ANN401
    """Describe a type for messages."""
    if is_dataclass(kind):
        return f"a mapping with the keys {', '.join(get_type_hints(kind))}"
    if get_origin(kind) is dict:
        return "a mapping (name: value)"
    if get_origin(kind) is list:
        return "a list ([a, b])"
    return _WORDS[kind]


def _require_resolvable(tree: Any, places: Mapping[str, str]) -> None:  # noqa: ANN401
    """Check that all interpolations can be resolved, and that they do not multiply without bound."""
    for count, (key, depth) in enumerate(_expand(tree, "", tree, (), 0, places)):
        if count >= MAX_VALUES:
            problem = f"brings this file to more than {MAX_VALUES} values, interpolations included. Shorten it"
            _fail(places, key, problem)
        if depth > MAX_DEPTH:
            _fail(places, key, f"is nested more than {MAX_DEPTH} deep, interpolations included. Flatten it")


def _expand(
    value: Any,  # noqa: ANN401
    key: str,
    tree: Any,  # noqa: ANN401
    chain: tuple[str, ...],
    depth: int,
    places: Mapping[str, str],
) -> Iterator[tuple[str, int]]:
    """Walk through a value and the values that its interpolations refer to.

    Args:
        value: Any part of the tree.
        key: Full key of the value.
        tree: Whole configuration.
        chain: Keys whose interpolations led to the value.
        depth: Depth of the value.
        places: Places of the keys, for messages.

    Yields:
        Key and depth of each value.
    """
    yield key, depth
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _expand(part, key if chain else join(key, str(name)), tree, chain, depth + 1, places)
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from _expand(part, key if chain else f"{key}[{number}]", tree, chain, depth + 1, places)
    elif isinstance(value, str):
        yield from repeat((key, depth), len(value) // 100)  # long text counts as several values
        for found in INTERPOLATION.finditer(value):
            if found["variable"]:
                _require_variable(found, key, places)
            elif found["key"] in chain:
                _fail(places, key, f"refers to itself: {' -> '.join([*chain, found['key']])}. Give a value")
            else:
                target = _look_up(found["key"], key, tree, places)
                yield from _expand(target, key, tree, (*chain, found["key"]), depth + 1, places)


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
            _fail(places, key, f"refers to {wanted}, which is not a key of this file. Correct it")
    return found
