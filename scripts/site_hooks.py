# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What MkDocs asks while it builds the site: the help of each command, written by the command itself."""

import io
import os
from contextlib import redirect_stdout, suppress
from unittest.mock import patch

from anomalib_adaptclip_cli.parser import COMMANDS, build_parser

PLACE = "<!-- the help of each command -->"


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the help of all commands where a page has a place for it."""
    return markdown.replace(PLACE, help_of_all()) if PLACE in markdown else markdown


def help_of_all() -> str:
    """A section for each command, with its help."""
    return "\n\n".join(f"## {command}\n\n```text\n{help_of(command)}\n```" for command in COMMANDS)


def help_of(command: str) -> str:
    """What ``anomalib-adaptclip COMMAND --help`` prints, 80 columns wide, without colours."""
    text = io.StringIO()
    environment = {"COLUMNS": "82", "NO_COLOR": "1"}
    with patch.dict(os.environ, environment), redirect_stdout(text), suppress(SystemExit):
        build_parser().parse_args([command, "--help"])
    return text.getvalue().strip()
