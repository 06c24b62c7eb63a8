# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""What anomalib's command shows of ours: each message once, and what a constructor refuses in the last line."""

import io
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.logging import RichHandler

from anomalib_adaptclip.host_console import say_once

ANOMALIB = str(Path(sys.executable).parent / "anomalib")


def handlers(*kinds: str) -> tuple[dict[str, io.StringIO], list[logging.Handler]]:
    """Handlers of the root logger, and what they write to."""
    texts = {kind: io.StringIO() for kind in kinds}
    made: dict[str, logging.Handler] = {
        kind: RichHandler(console=Console(file=text)) if kind == "rich" else logging.StreamHandler(text)
        for kind, text in texts.items()
    }
    return texts, [*made.values()]


@pytest.mark.parametrize(
    ("kinds", "said"), [(("plain", "rich"), ("rich",)), (("plain",), ("plain",)), (("rich",), ("rich",))]
)
def test_a_message_appears_once(kinds: tuple[str, ...], said: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    say_once()
    texts, made = handlers(*kinds)
    if "plain" in texts:
        monkeypatch.setattr(sys, "stderr", texts["plain"])
    monkeypatch.setattr(logging.getLogger(), "handlers", made)
    logging.getLogger("anomalib_adaptclip.model").warning("Nothing was calibrated")
    assert {kind: text.getvalue().count("Nothing was calibrated") for kind, text in texts.items()} == {
        kind: int(kind in said) for kind in kinds
    }


def test_a_log_file_gets_all_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    say_once()
    texts, made = handlers("file", "rich")
    monkeypatch.setattr(logging.getLogger(), "handlers", made)
    logging.getLogger("anomalib_adaptclip.model").warning("Nothing was calibrated")
    assert all("Nothing was calibrated" in text.getvalue() for text in texts.values())


def test_the_hosts_messages_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, made = handlers("plain", "rich")
    monkeypatch.setattr(logging.getLogger(), "handlers", made)
    logging.getLogger("anomalib.engine").warning("a tip")
    assert all("a tip" in text.getvalue() for text in texts.values())


def test_a_handlers_level_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, made = handlers("plain")
    made[0].setLevel(logging.ERROR)
    monkeypatch.setattr(logging.getLogger(), "handlers", made)
    logging.getLogger("anomalib_adaptclip.model").warning("Nothing was calibrated")
    assert texts["plain"].getvalue() == ""


def test_without_handlers_warnings_are_seen(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    logging.getLogger("anomalib_adaptclip.model").warning("Nothing was calibrated")
    logging.getLogger("anomalib_adaptclip.model").info("a detail")
    assert capsys.readouterr().err == "Nothing was calibrated\n"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("train --model AdaptCLIP --model.k_shot -1 --data MVTecAD", "k_shot must be 0 for zero-shot, or the number"),
        (
            "fit --model AdaptCLIP --model.backbone tiny --data SyntheticDefects --data.category x",
            "There is no category",
        ),
    ],
)
def test_a_refusal_is_the_last_line(arguments: str, reason: str, tmp_path: Path) -> None:
    finished = subprocess.run([ANOMALIB, *arguments.split()], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1].startswith(reason)
