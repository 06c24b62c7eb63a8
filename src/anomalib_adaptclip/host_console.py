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
    """Hands messages on to the handlers of the root logger; of Rich's and plain ones on the terminal to Rich's alone.

    It stands in place of the propagation of our loggers, and changes no handler of the hosts.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a message on."""
        last = [logging.lastResort] if logging.lastResort else []
        handlers = logging.getLogger().handlers or last
        has_rich = any(isinstance(handler, RichHandler) for handler in handlers)
        for handler in handlers:
            is_double = has_rich and type(handler) is logging.StreamHandler
            if not is_double and record.levelno >= handler.level:
                handler.handle(record)


def say_once() -> None:
    """Let each of our messages appear once where the root logger has two handlers on the terminal. Repeatable."""
    logger = logging.getLogger(_PACKAGE)
    if not any(isinstance(handler, OneConsole) for handler in logger.handlers):
        logger.addHandler(OneConsole())
        logger.propagate = False


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
