# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The notebooks: they run, they are those of their sources, and they hold nothing that is large or of one machine."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

from scripts import notebooks

SECONDS_PER_CELL = 120
BYTES = 400_000
OF_ONE_MACHINE = re.compile(r"/(root|home|tmp|usr|work|Users)/|\w:\\|site-packages|Warning|Traceback|it/s|\d ?seconds")

every_notebook = pytest.mark.parametrize("source", notebooks.sources(), ids=lambda path: path.stem)


def committed(source: Path) -> Any:
    """The notebook that stands beside its source."""
    return nbformat.read(source.with_suffix(".ipynb"), as_version=nbformat.current_nbformat)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(notebook: Any) -> list[list[str]]:
    """What each cell puts out: the names of streams, the MIME types of results and pictures."""
    return [
        [output.get("name") or ", ".join(sorted(output.get("data", {}))) for output in cell.outputs]
        for cell in code_cells(notebook)
    ]


def test_there_are_two() -> None:
    assert [path.stem for path in notebooks.sources()] == ["01_zero_and_few_shot", "02_beside_patchcore_and_winclip"]
    assert sorted(notebooks.FOLDER.glob("*.ipynb")) == [path.with_suffix(".ipynb") for path in notebooks.sources()]


@every_notebook
def test_runs_from_top_to_bottom(
    source: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a kernel and a folder of its own, and without a network; it puts out what the committed one does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv(
        "IPYTHONDIR", str(tmp_path_factory.mktemp("ipython"))
    )  # start-up files of the user's are not run
    notebook = notebooks.read_source(source)
    notebooks.run(notebook, SECONDS_PER_CELL)
    assert kinds(notebook) == kinds(committed(source))
    assert list(tmp_path.iterdir()) == []


@every_notebook
def test_committed_is_made_of_its_source(source: Path) -> None:
    """If not, run `python -m scripts.notebooks`."""
    expected, found = notebooks.read_source(source), committed(source)
    assert [(cell.id, cell.cell_type, cell.source) for cell in found.cells] == [
        (cell.id, cell.cell_type, cell.source) for cell in expected.cells
    ]
    assert found.metadata == expected.metadata


@every_notebook
def test_committed_was_run_from_top_to_bottom(source: Path) -> None:
    cells = code_cells(committed(source))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    put_out = {kind for cell in kinds(committed(source)) for kind in cell}
    assert put_out == {"stdout", "image/jpeg, text/plain", "text/html, text/plain"}  # nothing on stderr


@every_notebook
def test_committed_is_small_and_of_no_machine(source: Path) -> None:
    assert source.with_suffix(".ipynb").stat().st_size < BYTES
    for cell in code_cells(committed(source)):
        assert set(cell.metadata) == set()  # no times of execution
        for output in cell.outputs:
            texts = {kind: text for kind, text in output.get("data", {}).items() if not kind.startswith("image/")}
            assert not OF_ONE_MACHINE.search(json.dumps([texts, output.get("text", "")]))


@every_notebook
def test_switch(source: Path) -> None:
    """One switch, in a cell of its own at the top, is off."""
    switch, *others = code_cells(notebooks.read_source(source))
    assert switch.source == "FULL_SIZE = False"
    assert sum("FULL_SIZE" in cell.source for cell in others) == 1


def test_source_without_cells(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text("print(1)\n")
    with pytest.raises(ValueError, match=r"source.py has no cells: they begin with `# %%`"):
        notebooks.read_source(tmp_path / "source.py")
