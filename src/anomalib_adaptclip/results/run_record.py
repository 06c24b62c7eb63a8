# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What the scores of a table depend on, in a file beside it, so that a run goes on only with the same."""

import json
from collections.abc import Mapping
from operator import methodcaller
from pathlib import Path

from anomalib_adaptclip.files.atomic import followed, write_atomically


def record_of(table: Path) -> Path:
    """Return the file that tells what the scores of a table depend on: ``NAME.run.json``.

    Args:
        table: Table, or its draft.
    """
    target = followed(table)
    return target.with_name(f"{target.name}.run.json")


def write_record(table: Path, identity: Mapping[str, str] | None) -> None:
    """Write what scores depend on beside a table, or remove it if it is not known.

    Args:
        table: Table, or its draft.
        identity: What the scores depend on, by name.
    """
    if identity is None:
        record_of(table).unlink(missing_ok=True)
    else:
        write_atomically(record_of(table), methodcaller("write_text", json.dumps(identity, indent=1), "utf-8"))


def read_record(table: Path) -> dict[str, str] | None:
    """Read what the scores of a table depend on.

    Args:
        table: Table, or its draft.

    Returns:
        What :func:`write_record` wrote, or None if there is nothing that can be read.
    """
    try:
        content = json.loads(record_of(table).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return {str(name): str(value) for name, value in content.items()} if isinstance(content, dict) else None


def require_same_run(table: Path, earlier: Mapping[str, str] | None, own: Mapping[str, str]) -> None:
    """Check that a run makes scores as an earlier one did.

    Args:
        table: Table of the earlier run, or its draft.
        earlier: What its scores depend on, or None if that is not known.
        own: What the scores of this run depend on.

    Raises:
        ValueError: If something is different, or not known. All differences are told.
    """
    advice = "Give the same model and options, or start anew without resume."
    if earlier is None:
        msg = f"{table} cannot be resumed: {record_of(table)}, which tells how its scores were made, is lost. {advice}"
        raise ValueError(msg)
    differing = [
        f"{name} was {earlier.get(name, 'nothing')} and is {own.get(name, 'nothing')}"
        for name in dict.fromkeys([*earlier, *own])
        if earlier.get(name) != own.get(name)
    ]
    if differing:
        msg = f"{table} cannot be resumed with another model or other options: {'; '.join(differing)}. {advice}"
        raise ValueError(msg)
