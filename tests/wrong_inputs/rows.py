# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The tables: one wrong input after the other, each followed by the sentence that must come."""

import re
from pathlib import Path
from typing import NamedTuple

TABLES = ("commands", "sweeps", "constructors", "files")
_FOLDER = Path(__file__).parent


class Row(NamedTuple):
    """A wrong input.

    Attributes:
        table: Table that it stands in.
        call: What is called: a command line, or a name and its arguments in YAML.
        needs_clip: Whether a CLIP must be built before the fault can be seen. All else is told before.
        message: The sentence, in which ``…`` stands for anything.
    """

    table: str
    call: str
    needs_clip: bool
    message: str

    @property
    def called(self) -> str:
        """Command, function or kind of file."""
        return self.call.split(" ")[0]

    def matches(self, message: str) -> bool:
        """Whether a message is the sentence."""
        return re.fullmatch(".*".join(map(re.escape, self.message.split("…"))), message) is not None


def read_table(name: str) -> list[Row]:
    """Read a table: a line that begins with ``>``, or ``>>`` where a CLIP must be built, and its sentence below it."""
    lines = [line for line in (_FOLDER / f"{name}.txt").read_text("utf-8").splitlines() if line[:1] not in {"", "#"}]
    rows = []
    for call, message in zip(lines[::2], lines[1::2], strict=True):
        mark, _, what = call.partition(" ")
        assert mark in {">", ">>"}, f"{name}.txt: a call was expected, got {call!r}"
        rows.append(Row(name, what, mark == ">>", message))
    return rows
