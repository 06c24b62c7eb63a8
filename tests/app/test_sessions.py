# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Sessions of several visitors, and where the page is served."""

import socket
from pathlib import Path
from typing import Any

import pytest

from anomalib_adaptclip.app import serving
from anomalib_adaptclip.app.serving import free_port
from anomalib_adaptclip.app.sessions import Beginning, Sessions, remedy_of
from anomalib_adaptclip.app.uploads import take
from anomalib_adaptclip_cli.main import main


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path, Beginning())


def test_each_tab_has_its_own_session(sessions: Sessions) -> None:
    assert sessions.of("a") is sessions.of("a")
    assert sessions.of("a") is not sessions.of("b")
    assert sessions.of("a").folder != sessions.of("b").folder


def test_uploads_go_with_the_last_session_that_sent_them(sessions: Sessions, tmp_path: Path) -> None:
    both, one = tmp_path / "1" / "both.png", tmp_path / "2" / "one.png"
    for file in (both, one):
        file.parent.mkdir()
        file.touch()
    folder = sessions.of("a").folder
    sessions.remember("a", [both, one])
    sessions.remember("b", [both])
    sessions.close("a")
    assert not folder.exists()
    assert not one.parent.exists()
    assert both.exists()
    sessions.close("b")
    assert not both.parent.exists()


def test_closing_twice_or_what_was_never_opened_is_nothing(sessions: Sessions) -> None:
    sessions.of("a")
    for _ in range(2):
        sessions.close("a")


def test_files_that_were_taken_outlive_the_browsers_copies(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("content")
    [taken] = take([tmp_path / "a.png"], tmp_path / "own")
    (tmp_path / "a.png").unlink()
    assert taken.read_text() == "content"


def test_files_that_have_gone_are_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"a\.png is not there any more: .* Load it anew"):
        take([tmp_path / "a.png"], tmp_path / "own")


def test_missing_weights_name_the_remedy() -> None:
    text = remedy_of(ConnectionError("No weights"))
    assert text == "No weights. Without a network, or to try it at once, start the page with --backbone tiny."
    assert remedy_of(ValueError("Wrong.")) == "Wrong."


# Serving


def test_a_port_that_is_in_use_is_told() -> None:
    with socket.socket() as other:
        other.bind((serving.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ValueError, match=f"Port {port} is in use on this machine. Name another one by --port."):
            free_port(port)
    assert free_port(port) == port


def test_the_first_free_port_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_is_free", lambda port: port == 7862)
    assert free_port(None) == 7862
    monkeypatch.setattr(serving, "_is_free", lambda _: False)
    with pytest.raises(ValueError, match="Port 7860 to 7959 is in use"):
        free_port(None)


def test_without_gradio_the_last_line_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        main(["app"])
    assert stopped.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "anomalib-adaptclip: The page needs Gradio: pip install 'anomalib-adaptclip[app]'."
