# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``anomalib-adaptclip``: builds its parser and runs its subcommands."""

import inspect
import itertools
import re
import sys
import warnings
from argparse import SUPPRESS, HelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

from jsonargparse import ArgumentParser

from .ablation import ablation
from .adapters import export_adapters
from .bank import bank_add, bank_list, bank_remove
from .compare import compare, report
from .data import data
from .options import DataOptions, ModelOptions
from .predict import predict

NAME = "anomalib-adaptclip"
DESCRIPTION = "AdaptCLIP for anomalib: predictions, ablations, comparisons, adapters, prompt banks, data sets."


class Command(NamedTuple):
    """A subcommand.

    Args:
        function: Function that the subcommand runs. Its docstring is the help.
        options: Dataclass of further options, which the function receives as the dictionary ``options``.
        takes_overrides: Whether ``key=value`` may follow the options. All required arguments are then given by name.
    """

    function: Callable[..., int | None]
    options: type | None = None
    takes_overrides: bool = False


COMMANDS = {
    "predict": Command(predict, ModelOptions),
    "ablation": Command(ablation, DataOptions),
    "compare": Command(compare, takes_overrides=True),
    "report": Command(report),
    "export-adapters": Command(export_adapters),
    "bank-add": Command(bank_add),
    "bank-remove": Command(bank_remove),
    "bank-list": Command(bank_list),
    "data": Command(data),
}
OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")


class Parser(ArgumentParser):
    """Parser that reads ``--resume`` as ``--resume true``, and whose help shows no Python types."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(formatter_class=HelpFormatter, **settings)  # type: ignore[arg-type]  # argparse's own

    def add_argument(self, *names: Any, **settings: Any) -> Any:  # noqa: ANN401
        """Add an argument. The value of a boolean one may be left out, and its help shows the default.

        Args:
            *names: As for jsonargparse's method.
            **settings: As for jsonargparse's method.

        Returns:
            The argument's action.
        """
        default = settings.get("default")
        if settings.get("type") is bool:
            settings |= {"nargs": "?", "const": True}
        if isinstance(default, int | float | str | Path) and default is not False and default != SUPPRESS:
            settings["help"] += f" (default: {'true' if default is True else default})"
        return super().add_argument(*names, **settings)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    Args:
        arguments: Arguments of the command line. By default those of this process are used.

    Returns:
        Exit code: 0, or 1 if a row of the ablations or a run of a comparison failed, or a data set has faults.
    """
    given = normalize(sys.argv[1:] if arguments is None else arguments)
    parser = build_parser()
    # Defaults would override the values of a checkpoint, so predict gets only what was given.
    parsed = parser.parse_args(given, defaults=given[:1] != ["predict"])
    _ignore_warnings_of_hosts()
    try:
        return _run(COMMANDS[parsed.subcommand], parsed[parsed.subcommand].as_dict())
    except KeyboardInterrupt:
        kept = "Finished work is kept. Run the same command again to continue, predict with --resume."
        parser.exit(130, f"{NAME}: stopped. {kept}\n")
    except (ValueError, OSError) as error:  # errors in arguments and files, whose messages are for users
        parser.exit(2, f"{NAME}: {error}\n")


def build_parser() -> ArgumentParser:
    """Build the parser of the command and all its subcommands."""
    parser = ArgumentParser(prog=NAME, usage=f"{NAME} COMMAND [options]", description=DESCRIPTION)
    subcommands = parser.add_subcommands()
    for name, command in COMMANDS.items():
        subparser = _build_subparser(name, command)
        summary = (subparser.description or "").splitlines()[0]
        subcommands.add_subcommand(name, subparser, help=summary)  # type: ignore[no-untyped-call]
    return parser


def normalize(arguments: Sequence[str]) -> list[str]:
    """Bring arguments into the form that the parser expects.

    Args:
        arguments: Arguments of the command line.

    Returns:
        The same arguments with underscores in the names of options, such as ``--dry_run`` for ``--dry-run``. Overrides
        are moved from the end to directly after the subcommand, so that no option takes one as its value.
    """
    plain = [_with_underscores(argument) for argument in arguments]
    if not plain or plain[0] not in COMMANDS or not COMMANDS[plain[0]].takes_overrides:
        return plain
    overrides = list(itertools.takewhile(OVERRIDE.match, reversed(plain)))[::-1]
    return [plain[0], *overrides, *plain[1 : len(plain) - len(overrides)]]


def _run(command: Command, values: dict[str, Any]) -> int:
    if command.options:
        names = {field.name for field in fields(command.options)}
        values["options"] = {name: values.pop(name) for name in names & values.keys()}
    return command.function(**values) or 0


def _build_subparser(name: str, command: Command) -> ArgumentParser:
    description = (inspect.getdoc(command.function) or "").partition("\n\nArgs:")[0]
    subparser = Parser(description=description, usage=_usage(name, command))
    positional = not command.takes_overrides
    skipped: set[str | int] = {"options", "overrides"}
    subparser.add_function_arguments(command.function, as_group=False, as_positional=positional, skip=skipped)
    if command.options:
        subparser.add_class_arguments(command.options)
    if command.takes_overrides:
        text = "Values that override those of the file, such as seeds=[10] or data_sets.visa.init_args.root=/data."
        subparser.add_argument("overrides", metavar="key=value", nargs="*", type=str, default=SUPPRESS, help=text)
    return subparser


def _usage(name: str, command: Command) -> str:
    """Write the usage in one line, because a list of all options would need twenty lines."""
    parameters = inspect.signature(command.function).parameters.values()
    required = [
        parameter.name
        for parameter in parameters
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    if command.takes_overrides:
        required = [f"--{name} {name.upper()}" for name in required]
    return " ".join([NAME, name, *required, "[options]", *(["[key=value ...]"] if command.takes_overrides else [])])


def _with_underscores(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if name.startswith("--") else argument


def _ignore_warnings_of_hosts() -> None:
    """Hide warnings that importing open_clip and anomalib causes, because users can do nothing about them."""
    for message in (
        "Importing from timm.models.layers is deprecated",
        "The anomalib.models.components.dinov2 package is deprecated",
    ):
        warnings.filterwarnings("ignore", message, FutureWarning)


if __name__ == "__main__":
    sys.exit(main())
