# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The Dockerfile where there is no docker: what it copies is there, what it runs is what our parser takes."""

import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path

import pytest

from anomalib_adaptclip_cli.parser import NAME, build_parser, normalize

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def instructions() -> list[tuple[str, str]]:
    """Each instruction and what stands behind it."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE)
    lines = [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]
    return [(line.split()[0], line.partition(" ")[2].strip()) for line in lines]


def values(instructions: list[tuple[str, str]], name: str) -> list[str]:
    return [value for found, value in instructions if found == name]


def test_what_it_runs_is_taken_by_the_parser(instructions: list[tuple[str, str]]) -> None:
    [entry], [command] = values(instructions, "ENTRYPOINT"), values(instructions, "CMD")
    assert json.loads(entry) == [NAME]
    parsed = build_parser().parse_args(normalize(json.loads(command)), defaults=False)
    assert parsed["subcommand"] == "serve"
    assert parsed["serve"]["host"] == "0.0.0.0"  # noqa: S104  # the container's own interface, told expressly
    assert values(instructions, "EXPOSE") == [str(parsed["serve"]["port"])]


def test_it_does_not_run_as_root(instructions: list[tuple[str, str]]) -> None:
    names = [name for name, _ in instructions]
    assert values(instructions, "USER")[-1] not in {"root", "0"}
    last = len(names) - 1 - names[::-1].index("USER")
    assert last > max(index for index, name in enumerate(names) if name == "RUN")
    assert f"useradd --create-home --uid 10001 {values(instructions, 'USER')[-1]}" in values(instructions, "RUN")


def test_what_it_copies_is_there_and_not_ignored(instructions: list[tuple[str, str]]) -> None:
    taken = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = [source for value in values(instructions, "COPY") for source in shlex.split(value)[:-1]]
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(fnmatch(source, name) for name in taken), source
    assert {*taken} == {*sources}


def test_all_that_the_build_needs_is_copied(instructions: list[tuple[str, str]]) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    included = re.findall(r'^"((?:src|configs)/[^"]+)" = ', project, flags=re.MULTILINE)
    assert len(included) >= 5
    needed = {
        "src/anomalib_adaptclip",
        "src/anomalib_adaptclip_cli",
        *included,
        "README.md",
        "LICENSE",
        "pyproject.toml",
    }
    copied = [source for value in values(instructions, "COPY") for source in shlex.split(value)[:-1]]
    assert all(any(name == source or name.startswith(f"{source}/") for source in copied) for name in needed)


def test_it_installs_the_extra_and_names_no_registry(instructions: list[tuple[str, str]]) -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    [install] = [value for value in values(instructions, "RUN") if "pip install" in value]
    [extra] = re.findall(r"\[(\w+)\]", install)
    assert f"\n{extra} = [\n" in project
    [image] = values(instructions, "FROM")
    assert "/" not in image
    assert "slim" in image
    urls = re.findall(r"https?://[^\s'\"]+", (ROOT / "Dockerfile").read_text())
    assert all(url.startswith("http://127.0.0.1") for url in urls)
