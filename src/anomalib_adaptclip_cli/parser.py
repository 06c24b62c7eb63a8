# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The parser of ``anomalib-adaptclip``: subcommands, their options, and what users may write for them."""

import inspect
import itertools
import re
from argparse import SUPPRESS, HelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import docstring_parser
from jsonargparse import ArgumentError, ArgumentParser

from .ablation import ablation
from .adapters import export_adapters
from .app import app
from .bank import bank_add, bank_list, bank_remove
from .compare import compare, report
from .data import data
from .doctor import doctor
from .finetune import finetune
from .inspect import calibrate
from .inspect import inspect as inspect_photos
from .messages import in_one_line
from .options import AdaptCLIPOptions, DataModuleOptions, PartOptions, TrainingOptions
from .predict import predict
from .serve import serve

NAME = "anomalib-adaptclip"
DESCRIPTION = (
    "AdaptCLIP for anomalib: inspections, predictions, fine-tuning, ablations, comparisons, adapters, prompt banks, "
    "data sets, and whether this machine is ready."
)


class Command(NamedTuple):
    """A subcommand.

    Args:
        function: What it runs. Its docstring is the help.
        options: Further options, which the function takes as the dictionary ``options``.
        takes_overrides: Whether ``key=value`` may stand behind the options. What it requires then goes by name.
        optional: Argument that may stand without its name.
    """

    function: Callable[..., int | None]
    options: type | None = None
    takes_overrides: bool = False
    optional: str = ""


COMMANDS = {
    "inspect": Command(inspect_photos, PartOptions),
    "calibrate": Command(calibrate, PartOptions),
    "app": Command(app, PartOptions, optional="model"),
    "serve": Command(serve, PartOptions),
    "predict": Command(predict, AdaptCLIPOptions),
    "finetune": Command(finetune, TrainingOptions),
    "ablation": Command(ablation, DataModuleOptions),
    "compare": Command(compare, takes_overrides=True),
    "report": Command(report),
    "export-adapters": Command(export_adapters),
    "bank-add": Command(bank_add),
    "bank-remove": Command(bank_remove),
    "bank-list": Command(bank_list),
    "data": Command(data),
    "doctor": Command(doctor),
}
SHORT = {"--out": "-o", "--output": "-o"}
OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")


class Parser(ArgumentParser):
    """Parser for which ``--resume`` means the same as ``--resume true``, and whose help has no types of Python."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401
        super().__init__(formatter_class=HelpFormatter, exit_on_error=False, **settings)  # type: ignore[arg-type]  # argparse's own

    def add_argument(self, *names: Any, **settings: Any) -> Any:  # noqa: ANN401
        """Add an argument; the value of a flag may be left out, and some names have a short form."""
        names = (*(SHORT[name] for name in names if name in SHORT), *names)
        default = settings.get("default")
        if settings.get("type") is bool:
            settings |= {"nargs": "?", "const": True}
        if isinstance(default, int | float | str | Path) and default is not False and default != SUPPRESS:
            settings["help"] += f" (default: {'true' if default is True else default})"
        return super().add_argument(*names, **settings)


def build_parser() -> ArgumentParser:
    """Parser of the command and all its subcommands, which raises ``ArgumentError``."""
    usage = f"{NAME} COMMAND [options]"
    parser = ArgumentParser(prog=NAME, usage=usage, description=DESCRIPTION, exit_on_error=False)
    subcommands = parser.add_subcommands()
    for name, command in COMMANDS.items():
        subparser = _build_subparser(name, command)
        summary = (subparser.description or "").splitlines()[0]
        subcommands.add_subcommand(name, subparser, help=summary)  # type: ignore[no-untyped-call]
    return parser


def normalize(arguments: Sequence[str]) -> list[str]:
    """Write arguments as the parser takes them.

    Args:
        arguments: Arguments of the command line.

    Returns:
        The same with ``--dry_run`` for ``--dry-run``, and so for all options. Overrides at the end stand right behind
        the subcommand that takes them, where no flag before them takes one for its value. What stands behind ``--`` is
        left as it is.
    """
    options = list(itertools.takewhile(lambda argument: argument != "--", arguments))
    rest = arguments[len(options) :]
    plain = [_with_underscores(argument) for argument in options]
    if not plain or plain[0] not in COMMANDS or not COMMANDS[plain[0]].takes_overrides:
        return [*plain, *rest]
    overrides = list(itertools.takewhile(OVERRIDE.match, reversed(plain)))[::-1]
    return [plain[0], *overrides, *rest[1:], *plain[1 : len(plain) - len(overrides)]]


def describe_error(error: ArgumentError, given: Sequence[str]) -> str:
    """Say in one line what is wrong with arguments, and where help is.

    Args:
        error: Error of the parser.
        given: Arguments of the command line.
    """
    name = given[0] if given and given[0] in COMMANDS else ""
    hints, required = (_hints(COMMANDS[name]), _required(COMMANDS[name])) if name else ({}, [])
    return f"{in_one_line(str(error), hints, required)} See {' '.join(filter(None, (NAME, name, '--help')))}."


def _hints(command: Command) -> dict[str, Any]:
    """Types of a subcommand's options by name."""
    return get_type_hints(command.function) | (get_type_hints(command.options) if command.options else {})


def _required(command: Command) -> list[str]:
    """Names of what must be given, in their order."""
    functions: list[Any] = [function for function in (command.function, command.options) if function]
    parameters = [found for function in functions for found in inspect.signature(function).parameters.values()]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [found.name for found in parameters if found.default is found.empty and found.kind is kind]


def _build_subparser(name: str, command: Command) -> ArgumentParser:
    description = (inspect.getdoc(command.function) or "").partition("\n\nArgs:")[0]
    subparser = Parser(description=description, usage=_usage(name, command))
    positional = not command.takes_overrides
    skipped: set[str | int] = {"options", "overrides", command.optional}
    if command.optional:
        _add_optional(subparser, command)
    subparser.add_function_arguments(command.function, as_group=False, as_positional=positional, skip=skipped)
    if command.options:
        subparser.add_class_arguments(command.options)
    text = "Print also messages and warnings of the libraries."
    subparser.add_argument("--verbose", type=bool, default=SUPPRESS, help=text)
    if command.takes_overrides:
        text = "Values that replace those of the file, such as seeds=[10] or data_sets.visa.init_args.root=/data."
        subparser.add_argument("overrides", metavar="key=value", nargs="*", type=str, default=SUPPRESS, help=text)
    return subparser


def _add_optional(subparser: Parser, command: Command) -> None:
    """Add an argument of a function's that may stand without its name, or be left out."""
    described = docstring_parser.parse(command.function.__doc__ or "").params
    text = next(item.description for item in described if item.arg_name == command.optional)
    hint = get_type_hints(command.function)[command.optional]
    subparser.add_argument(command.optional, nargs="?", type=hint, help=text)


def _usage(name: str, command: Command) -> str:
    """Usage in one line: a list of all options would take twenty."""
    required = _required(command._replace(options=None))
    optional = [f"[{command.optional}]"] if command.optional else []
    if command.takes_overrides:
        required = [f"--{name} {name.upper()}" for name in required]
    return " ".join(
        [NAME, name, *required, *optional, "[options]", *(["[key=value ...]"] if command.takes_overrides else [])]
    )


def _with_underscores(argument: str) -> str:
    name, equals, value = argument.partition("=")
    return f"--{name[2:].replace('-', '_')}{equals}{value}" if name.startswith("--") else argument
