# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Makes the notebooks out of their sources and runs them: ``python -m scripts.notebooks``."""

from pathlib import Path
from tempfile import TemporaryDirectory

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},  # a kernel would add the version that it happens to have
}


def sources() -> list[Path]:
    """Sources of all notebooks, Python files whose cells begin with ``# %%``."""
    return sorted(FOLDER.glob("*.py"))


def read_source(path: Path) -> NotebookNode:
    """Make a notebook out of a source.

    Args:
        path: Python file. What stands before its first cell, the licence, is left out.

    Returns:
        The notebook, not yet run.

    Raises:
        ValueError: If the file has no cells.
    """
    _, marker, cells = path.read_text(encoding="utf-8").partition("# %%")
    if not marker:
        msg = f"{path} has no cells: they begin with `# %%`."
        raise ValueError(msg)
    notebook: NotebookNode = jupytext.reads(marker + cells, fmt="py:percent")
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # random ones would differ each time
    notebook.metadata = METADATA
    return notebook


def run(notebook: NotebookNode, cell_seconds: int = 120) -> None:
    """Run a notebook from top to bottom, in a kernel and an empty folder of its own. Outputs are added to it.

    Args:
        notebook: Changed in place.
        cell_seconds: Time that a cell may take.

    Raises:
        nbclient.exceptions.CellExecutionError: If a cell fails.
        nbclient.exceptions.CellTimeoutError: If one takes too long.
    """
    with TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=cell_seconds,
            resources={"metadata": {"path": folder}},
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],  # or the kernel warns of its unencrypted transport
        ).execute()
    notebook.metadata = METADATA


def main() -> None:
    """Make and run all notebooks, and write them beside their sources."""
    for path in sources():
        notebook = read_source(path)
        run(notebook)
        nbformat.validate(notebook)
        nbformat.write(notebook, path.with_suffix(".ipynb"))


if __name__ == "__main__":
    main()
