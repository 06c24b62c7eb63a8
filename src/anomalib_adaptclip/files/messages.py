# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Texts of other packages' errors, within ours."""


def in_one_line(error: Exception) -> str:
    """The text of an error as a sentence in one line; its type, if it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith(".") else f"{text}."
