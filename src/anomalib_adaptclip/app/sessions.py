# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""The sessions of all visitors, each with its folder and the files that its browser sent."""

import tempfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from anomalib_adaptclip.files.messages import in_one_line
from anomalib_adaptclip.model.lightning_model import AdaptCLIP

from .models import Settings
from .session import Session
from .uploads import remove


class Beginning(NamedTuple):
    """What every session begins with.

    Attributes:
        settings: How models are made.
        model: A model that is there already; None without.
        source: What it came from, in words.
    """

    settings: Settings = Settings()
    model: AdaptCLIP | None = None
    source: str = ""


class Sessions:
    """Sessions by the key of a browser's tab.

    Args:
        root: Folder for all of them, which is there.
        beginning: What every session begins with.
    """

    def __init__(self, root: Path, beginning: Beginning) -> None:
        self.beginning = beginning
        self._root = root
        self._sessions: dict[str, Session] = {}
        self._uploads: dict[str, set[Path]] = {}
        self._lock = threading.Lock()

    def of(self, key: str) -> Session:
        """The session of a key, new if there is none."""
        with self._lock:
            if key not in self._sessions:
                folder = tempfile.mkdtemp(prefix="session-", dir=self._root)
                self._sessions[key] = Session(Path(folder), *self.beginning)
            return self._sessions[key]

    def remember(self, key: str, files: Iterable[Path]) -> None:
        """Note which files a browser sent, to remove them when its session ends."""
        with self._lock:
            self._uploads.setdefault(key, set()).update(files)

    def close(self, key: str) -> None:
        """End a session, and remove all files of it. Those that another session sent too stay."""
        with self._lock:
            session = self._sessions.pop(key, None)
            own = self._uploads.pop(key, set())
            others = set().union(*self._uploads.values())
        if session:
            session.close()
        remove(own - others)


def remedy_of(error: Exception) -> str:
    """What is said of an error that users can do something about."""
    text = in_one_line(error)
    if isinstance(error, ConnectionError):
        return f"{text} Without a network, or to try it at once, start the page with --backbone tiny."
    return text
