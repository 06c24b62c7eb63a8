# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Texts of other packages' errors, within ours."""

import re

_UNION = "Does not validate against any of the Union subtypes"


def in_one_line(error: Exception) -> str:
    """The text of an error as a sentence in one line; its type, if it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."


def innermost(text: str) -> str:
    """Shorten a message of jsonargparse, which lists all types that it tried, to what is wrong.

    Args:
        text: Text of the error.

    Returns:
        One line, or the text itself if it is not such a message.
    """
    head, found, tail = text.rpartition("Errors:\n")
    if not (found and _UNION in head):
        return text
    errors, _, given = tail.partition("Given value type:")
    lines = [line.strip().removeprefix("- ") for line in errors.splitlines()]
    what = " ".join(line for line in lines if line and line != "Expected a <class 'NoneType'>")
    key = re.findall(r'Parser key "(.+?)"', head)[-1:]
    if key in ([], ["part"]):
        return what
    return f"{key[0]} is {given.partition('Given value: ')[2].partition(chr(10))[0]}. {what}"
