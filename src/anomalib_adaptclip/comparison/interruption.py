# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Tells an interruption by the user from an error of a run."""


def is_interruption(error: BaseException) -> bool:
    """Whether an error is Ctrl-C, or the exit by which Lightning answers Ctrl-C.

    Args:
        error: Error that ended a run.
    """
    answers = isinstance(error, SystemExit) and isinstance(error.__context__, KeyboardInterrupt)
    return answers or isinstance(error, KeyboardInterrupt)
