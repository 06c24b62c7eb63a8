# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``anomalib-adaptclip``: parse, run the subcommand, and say in one line what is wrong."""

import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from jsonargparse import ArgumentError

from .messages import describe_failure
from .options import OPTIONS_OF_MODELS
from .parser import COMMANDS, NAME, Command, build_parser, describe_error, normalize
from .process import import_hosts
from .streams import guard_streams


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: Arguments of the command line. By default those of this process are used; only then does the command
            decide what the process prints of messages and warnings.

    Returns:
        Exit code: 0, or 1 if a row of the ablations or a run of a comparison failed, or a data set or this machine has
            faults.
    """
    guard_streams()
    given = normalize(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    if empty := [word for word in given if re.fullmatch(r"(--\w+=)?", word)]:
        what = f" for {empty[0][:-1]}" if empty[0] else ""
        parser.exit(2, f"{NAME}: a value must be given{what}; got an empty one. Leave the option out, or name one.\n")
    command = COMMANDS.get(given[0]) if given else None
    overrides = command is not None and command.options in OPTIONS_OF_MODELS  # defaults would override a checkpoint's
    try:
        parsed = parser.parse_args(given, defaults=not overrides)
    except ArgumentError as error:
        parser.exit(2, f"{NAME}: {describe_error(error, given)}\n")
    values = parsed[parsed.subcommand].as_dict()
    is_verbose = values.pop("verbose", False)
    try:
        if arguments is None:
            import_hosts(is_verbose=is_verbose)
        return _run(COMMANDS[parsed.subcommand], values)
    except KeyboardInterrupt:
        kept = "Finished work is kept. Run the same command again to continue, predict with --resume."
        parser.exit(130, f"{NAME}: stopped. {kept}\n")
    except (ValueError, OSError) as error:  # errors in arguments and files, whose messages are for users
        parser.exit(2, f"{NAME}: {describe_failure(error)}\n")


def _run(command: Command, values: dict[str, Any]) -> int:
    if command.options:
        names = {field.name for field in fields(command.options)}
        values["options"] = {name: values.pop(name) for name in names & values.keys()}
    return command.function(**values) or 0


if __name__ == "__main__":
    sys.exit(main())
