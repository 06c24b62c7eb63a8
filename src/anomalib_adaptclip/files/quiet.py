# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What is printed of log messages and warnings: ours, each once, and not those of the hosts."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod

OURS = "anomalib_adaptclip"
HOSTS = ("lightning", "lightning.pytorch", "lightning.fabric", "pytorch_lightning", "lightning_fabric")


class _OursAlone(logging.StreamHandler):  # type: ignore[type-arg]  # generic from Python 3.11 on
    """Prints our warnings, each text once, and the hosts' errors; of a failure the message, not the traceback."""

    def __init__(self) -> None:
        super().__init__()
        self._said: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Print a message, unless it is the hosts' or has been printed."""
        least = logging.WARNING if record.name.partition(".")[0] in {OURS, f"{OURS}_cli"} else logging.ERROR
        if record.levelno >= least and record.getMessage() not in self._said:
            self._said.add(record.getMessage())
            self.stream = sys.stderr  # as it is now
            super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        """The message alone."""
        return record.getMessage()


def quiet_hosts() -> None:
    """Let this process, and those that it starts, print of messages and warnings only what concerns a user.

    Hosts set levels and filters while they are imported: call it again after that. Warnings that the interpreter was
    told to show, by ``-W`` or ``PYTHONWARNINGS``, are shown.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
        os.environ["PYTHONWARNINGS"] = "ignore"
    for name in HOSTS:
        logging.getLogger(name).setLevel(logging.ERROR)
    if not is_quiet():
        logging.getLogger().addHandler(_OursAlone())


def is_quiet() -> bool:
    """Whether :func:`quiet_hosts` was called in this process."""
    return any(isinstance(handler, _OursAlone) for handler in logging.getLogger().handlers)


@contextmanager
def silenced(*names: str, below: int = logging.ERROR) -> Iterator[None]:
    """Keep some loggers from telling what is of little weight.

    Args:
        *names: Names of the loggers.
        below: Level of the messages that are told.
    """
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(below)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def without_bars() -> Iterator[None]:
    """Keep the hosts from showing progress bars, in a quiet process: they would leave a line each."""
    if not is_quiet():
        yield
        return
    from tqdm import tqdm  # noqa: PLC0415  help must not import it

    usual = tqdm.__init__
    tqdm.__init__ = partialmethod(usual, disable=True)
    try:
        yield
    finally:
        tqdm.__init__ = usual
