# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``anomalib-adaptclip``: parse, run the subcommand, and say in one line what is wrong."""

import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from .parser import COMMANDS, NAME, Command, build_parser, normalize


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: Arguments of the command line, by default those of this process.

    Returns:
        Exit code: 0, or 1 if a row of the ablations or a run of a comparison failed, or a data set has faults.
    """
    given = normalize(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    # A checkpoint has values of its own, so predict gets what was given and no defaults.
    parsed = parser.parse_args(given, defaults=given[:1] != ["predict"])
    _ignore_warnings_of_hosts()
    try:
        return _run(COMMANDS[parsed.subcommand], parsed[parsed.subcommand].as_dict())
    except KeyboardInterrupt:
        kept = "What is finished is kept: the same command goes on from it, predict with --resume."
        parser.exit(130, f"{NAME}: stopped. {kept}\n")
    except (ValueError, OSError) as error:  # what is wrong with arguments and files
        parser.exit(2, f"{NAME}: {error}\n")


def _run(command: Command, values: dict[str, Any]) -> int:
    if command.options:
        names = {field.name for field in fields(command.options)}
        values["options"] = {name: values.pop(name) for name in names & values.keys()}
    return command.function(**values) or 0


def _ignore_warnings_of_hosts() -> None:
    """Hide what importing open_clip and anomalib warns of: users can do nothing about it."""
    for message in (
        "Importing from timm.models.layers is deprecated",
        "The anomalib.models.components.dinov2 package is deprecated",
    ):
        warnings.filterwarnings("ignore", message, FutureWarning)


if __name__ == "__main__":
    sys.exit(main())
