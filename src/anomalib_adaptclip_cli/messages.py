# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Texts of jsonargparse's errors as one sentence, without types of Python."""

import errno
import re
from collections.abc import Collection, Sequence
from typing import Any, Literal, get_args, get_origin

_KEY = re.compile(r'Parser key "(?P<key>[^"]+)":')
_MISSING = re.compile(r"Option '[^']+' is required but not provided or its value is None\.")
_GIVEN = ("Given value: ", "Got value: ")
_WORDS = {int: "a whole number", float: "a number", bool: "true or false", dict: "a mapping {name: value}"}
_LONGEST, _LONGEST_FAILURE = 200, 900  # characters of what was given, and of what happened


def in_words(hint: Any) -> str:  # noqa: ANN401  # types know no type of annotations
    """Say what may be written for an option of some type, such as ``"a whole number or [a whole number, ...]"``."""
    origin, parts = get_origin(hint), [part for part in get_args(hint) if part not in {type(None), Ellipsis}]
    if origin is Literal:
        return f"one of {', '.join(map(str, parts))}"
    if origin is dict:
        return _WORDS[dict]
    if origin is tuple:
        return f"[{', '.join(map(in_words, parts))}]"
    if origin and issubclass(origin if isinstance(origin, type) else object, Collection):
        return f"a list [{in_words(parts[0])}, ...]"
    return " or ".join(dict.fromkeys(map(in_words, parts))) if parts else _WORDS.get(hint, "a text")


def in_one_line(message: str, hints: dict[str, Any], required: Sequence[str] = ()) -> str:
    """Turn an error of jsonargparse into a sentence.

    Args:
        message: Its text, of any number of lines.
        hints: Types of the options by name.
        required: Names of what must be given.
    """
    if required and _MISSING.fullmatch(message.strip()):  # it names any of those that are missing
        return f"{', '.join(required)} must be given{', and was not' if len(required) == 1 else ', all of them'}."
    key = _KEY.search(message)
    if key and "surrogates not allowed" in message:
        return f"{key['key']} must be in UTF-8; got bytes that are not. Rename the file, or name a folder above it."
    if key and key["key"] in hints:
        given = next((message.rpartition(mark)[2] for mark in _GIVEN if mark in message), "something else")
        return f"{key['key']} must be {in_words(hints[key['key']])}; got {_shortened(given)}."
    text = _shortened(message)
    return text if text.endswith(".") else f"{text}."


def describe_failure(error: Exception) -> str:
    """Say in one line what went wrong in a command, also where the system says it."""
    if isinstance(error, OSError) and error.strerror and error.filename:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        remedy = "Free space, and run the command again" if is_full else "Check the path, and that it may be used"
        return f"{error.strerror}: {_shortened(str(error.filename))}. {remedy}."
    text = " ".join(str(error).split())
    return text if len(text) <= _LONGEST_FAILURE else f"{text[:_LONGEST_FAILURE]}..."


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
