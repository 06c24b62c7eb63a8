# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Checks the text of a YAML file before it is loaded, and refuses what YAML would misread or expand without bound."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

MAX_BYTES = 32 * 1024
MAX_VALUES = 2_000
MAX_DEPTH = 20
_MAX_SHOWN = 200
_TAG = "tag:yaml.org,2002:"
INTERPOLATION = re.compile(
    r"\$\{(?:oc\.env:(?P<variable>[A-Za-z_]\w*)(?:,(?P<default>[\w./ -]+))?|(?P<key>[\w/@+-]+(?:\.[\w/@+-]+)*))\}"
)


class Source(NamedTuple):
    """The source of a text, for messages.

    Attributes:
        name: Name of the source, such as the path of a file.
        has_lines: Whether line numbers help to find a place in the text.
    """

    name: str
    has_lines: bool = True

    def at(self, mark: yaml.Mark) -> str:
        """Name a place in the text, such as ``"sweep.yaml, line 3"``.

        Args:
            mark: Place in the text, as PyYAML gives it.
        """
        return f"{self.name}, line {mark.line + 1}" if self.has_lines else self.name


def read_text(path: Path) -> str:
    """Read the text of a configuration file.

    Args:
        path: File to read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is too large, or not UTF-8.
    """
    if not path.is_file():
        msg = f"There is no file {path}. Check the path."
        raise FileNotFoundError(msg)
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        msg = f"{path} is larger than {MAX_BYTES // 1024} KiB, too large for a configuration. Name another file."
        raise ValueError(msg)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"{path} should be YAML in UTF-8: {error}. Save it as UTF-8, or name another file."
        raise ValueError(msg) from error


def check_text(text: str, source: Source, prefix: str = "") -> dict[str, str]:
    """Check a YAML text without loading it.

    These are refused: anchors, aliases, tags, deep nesting, more than :data:`MAX_VALUES` keys and values, duplicate or
    blank keys, keys that are not text, spellings that YAML reads as something else (``010`` is 8, ``no`` is false), and
    interpolations other than ``${key}`` and ``${oc.env:NAME}``.

    Args:
        text: YAML text.
        source: Source of the text, for messages.
        prefix: Key whose value the text is, empty for a whole file.

    Returns:
        Place of each key, such as ``{"models.A": "sweep.yaml, line 3"}``.

    Raises:
        ValueError: If something is refused. The message names the source, the line and the key.
    """
    try:
        node = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{source.at(mark)}, column {mark.column + 1}" if source.has_lines and mark else source.name
        msg = f"{where}: this should be YAML: {', '.join(filter(None, (error.context, error.problem)))}. Correct it."
        raise ValueError(msg) from error
    except yaml.YAMLError as error:  # characters that YAML does not allow
        msg = f"{source.name} should be YAML: {' '.join(str(error).split())}. Correct it, or name another file."
        raise ValueError(msg) from error
    if not (prefix or isinstance(node, yaml.MappingNode)):
        msg = (
            f"{source.name} should hold a mapping, `key: value`; got {'nothing' if node is None else 'something else'}."
        )
        raise ValueError(msg)
    return dict(_places(node, node.start_mark, prefix, source)) | ({} if prefix else {"": source.name})


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML has no types
    """Builds the tree of nodes, with a limited number of values and depth."""

    _depth = _count = 0

    def compose_node(self, parent: yaml.Node | None, index: int | yaml.Node | None) -> yaml.Node:
        """Build a node and its children, or refuse it. PyYAML calls this for each node."""
        event = self.peek_event()
        problem = ""
        if isinstance(event, yaml.AliasEvent) or event.anchor:
            problem = "anchors and aliases (&, *) are not allowed; to repeat a value write ${key.of.the.value}"
        elif event.tag:
            problem = f"tags such as {event.tag} are not allowed; leave it out"
        elif self._depth >= MAX_DEPTH:
            problem = f"this is nested more than {MAX_DEPTH} deep"
        elif self._count >= MAX_VALUES:
            problem = f"these are more than {MAX_VALUES} keys and values"
        if problem:
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        self._count += 1
        self._depth += 1
        node: yaml.Node = super().compose_node(parent, index)
        self._depth -= 1
        return node


def _places(node: yaml.Node, mark: yaml.Mark, key: str, source: Source) -> Iterator[tuple[str, str]]:
    """Check a node and all nodes in it, and yield the key and the place of each."""
    yield key, source.at(mark)
    if isinstance(node, yaml.ScalarNode):
        if problem := _problem_of_value(node):
            _refuse(source, mark, key, problem)
    elif isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _places(item, item.start_mark, f"{key}[{number}]", source)
    else:
        names: set[str] = set()
        for name, value in node.value:
            inner = join(key, name.value if isinstance(name, yaml.ScalarNode) else "?")
            if problem := _problem_of_key(name, names):
                _refuse(source, name.start_mark, inner, problem)
            names.add(name.value)
            yield from _places(value, name.start_mark, inner, source)


def join(key: str, name: str) -> str:
    """Return the full key of an entry of a mapping.

    Args:
        key: Full key of the mapping, empty for the whole file.
        name: Key of the entry.
    """
    return f"{key}.{name}" if key else name


def shown(value: Any) -> str:  # noqa: ANN401
    """Write a value for messages, shortened if it is long.

    Args:
        value: Any value.
    """
    text = "null" if value is None else repr(value)
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."


def _refuse(source: Source, mark: yaml.Mark, key: str, problem: str) -> None:
    msg = f"{source.at(mark)}: {key or 'this'} {problem}"
    raise ValueError(msg)


def _problem_of_key(node: yaml.Node, names: set[str]) -> str | None:
    if not isinstance(node, yaml.ScalarNode):
        return "is not a name: keys must be plain text."
    if node.tag == f"{_TAG}merge":
        return "is not allowed; to repeat a value write ${key.of.the.value}."
    if node.tag != f"{_TAG}str":
        return f"is not read as text by YAML. Put quotes around it: '{node.value}'."
    if not node.value or "${" in node.value:
        return "is not a name. Write it out: keys are not interpolated."
    return "is given twice. Leave one out." if node.value in names else None


def _problem_of_value(node: yaml.ScalarNode) -> str | None:
    kind, text = node.tag.removeprefix(_TAG), node.value
    if not node.style and not text:
        return "is blank. Give a value, or leave the key out."
    if text == "???":
        return "is ???, which stands for a value that is missing. Give one."
    if (kind == "int" and not re.fullmatch(r"[-+]?(0|[1-9][0-9_]{,18})", text)) or (kind == "float" and ":" in text):
        return f"is {shown(text)}, a number in an unusual notation. Write plain digits, or put quotes around text."
    if kind == "bool" and text.lower() not in {"true", "false"}:
        return f"is {text}, which YAML reads as true or false. Write true or false, or put quotes around it."
    if "${" in text and ("${" in INTERPOLATION.sub("", text) or "\\${" in text):
        return f"is {shown(text)}. Write ${{a.key.of.this.file}}, ${{oc.env:NAME}} or ${{oc.env:NAME,DEFAULT}}."
    return None
