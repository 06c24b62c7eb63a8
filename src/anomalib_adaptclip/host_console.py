# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What anomalib's command shows of ours: each message once, and what our constructors refuse in the last line.

The command has two handlers of the root logger, a plain one and Rich's, and prints each message with both. What a
constructor refuses stands in the middle of what jsonargparse tried, above all arguments.
"""

import atexit
import logging
import sys

from rich.logging import RichHandler

from anomalib_adaptclip.files.messages import innermost

_PACKAGE = "anomalib_adaptclip"


class OneConsole(logging.Handler):
    """Sees our messages before the root logger's handlers do, and keeps plain ones from doubling what Rich's shows.

    Plain ones that write elsewhere, to a file for instance, are left alone. Without any handlers warnings go to
    standard error, as Python has it.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Look at the handlers, which a host may have added by now."""
        handlers = logging.getLogger().handlers
        if any(isinstance(handler, RichHandler) for handler in handlers):
            for handler in handlers:
                if type(handler) is logging.StreamHandler and handler.stream in {
                    sys.stdout,
                    sys.stderr,
                    sys.__stdout__,
                    sys.__stderr__,
                }:
                    handler.addFilter(_is_of_others)  # added once, however often
        last = logging.lastResort
        if not handlers and last and record.levelno >= last.level:
            last.handle(record)


def _is_of_others(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] != _PACKAGE


def say_once() -> None:
    """Let each of our messages appear once where the root logger has two handlers on the terminal. Repeatable."""
    logger = logging.getLogger(_PACKAGE)
    if not any(isinstance(handler, OneConsole) for handler in logger.handlers):
        logger.addHandler(OneConsole())


def end_with_reason() -> None:
    """Let a process that an error ends say last what one of our constructors refused. Calling it again adds nothing."""
    atexit.unregister(_say_reason)
    atexit.register(_say_reason)


def _say_reason() -> None:
    """Write the reason of anomalib's command, whose last words are all arguments of all that it tried to build."""
    error = getattr(sys, "last_value", None)  # what ended the process, and the interpreter has shown
    is_command = "anomalib.cli.cli" in sys.modules and not hasattr(sys, "ps1")
    if is_command and isinstance(error, ValueError) and f"class_path='{_PACKAGE}." in str(error):
        sys.stderr.write(f"{innermost(str(error))}\n")
