# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What was found, as a line."""

from typing import Literal, NamedTuple

State = Literal["ok", "note", "fault"]


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        state: ``"ok"``; ``"note"``, which is good to know; or ``"fault"``, which keeps something from working.
        text: What it is, with the remedy of a fault.
    """

    state: State
    text: str

    def __str__(self) -> str:
        """The line."""
        return f"{self.state:5}  {self.text}"
