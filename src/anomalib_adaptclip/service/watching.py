# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Judges the files of a folder as they are completed, once each, also those that came while nobody watched."""

import logging
import os
import queue
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anomalib.data.utils.image import is_image_file
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from anomalib_adaptclip.files.atomic import require_file

from .judge import Photo, refused
from .watched_table import Version, WatchedTable, require_table

logger = logging.getLogger(__name__)

_AT_A_TIME = 32  # files that are read into memory together
_TRIES = 3  # times that a file is judged on which the service fails
JudgeAll = Callable[[Sequence[Photo]], Sequence[dict[str, Any]]]


@dataclass(frozen=True)
class Watched:
    """What is watched.

    Attributes:
        folder: Folder with all its subfolders. Names that begin with a dot are passed over, and what is no image.
        table: Where rows go.
        settle: Seconds after which a file that does not change is complete, where nothing tells that it was closed.
        most_bytes: Larger files are refused.
    """

    folder: Path
    table: Path
    settle: float = 2.0
    most_bytes: int = 512 * 1024**2


def require_watched(watched: Watched) -> None:
    """Check folder and table, before any work is done.

    Raises:
        ValueError: If the folder is none, or the table cannot be one.
    """
    if not watched.folder.is_dir():
        msg = f"watch must be a folder; {watched.folder} is none. Make it, or name another one."
        raise ValueError(msg)
    if watched.table.suffix != ".csv":
        msg = f"The table of a watched folder must be a file named *.csv; got {watched.table}."
        raise ValueError(msg)
    require_table(require_file(watched.table))


class FolderWatch(FileSystemEventHandler):
    """Watches a folder in a thread of its own.

    A file is complete when the system tells that it was closed after writing, or moved in, or when it did not change
    for a while: not every system tells, and none tells of what happened before. A file that cannot be read may be
    incomplete all the same, and gets its row when it has not changed for that while. One on which the service fails is
    judged again, a few times.

    Args:
        watched: What is watched.
        judge: Gives an answer for each photo.
        known: Names of the model's prompt bank; None without one. A file shows what its folder is called.
        clock: Gives seconds.
    """

    def __init__(
        self,
        watched: Watched,
        judge: JudgeAll,
        known: Sequence[str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._watched, self._judge, self._known, self._clock = watched, judge, known, clock
        self._told: queue.Queue[str] = queue.Queue()
        self._seen: dict[str, tuple[Version, float]] = {}  # files without a row, and since when they are so
        self._failures: Counter[Version] = Counter()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def on_closed(self, event: FileSystemEvent) -> None:
        """A file was closed after writing."""
        self._told.put(os.fsdecode(event.src_path))

    def on_moved(self, event: FileSystemEvent) -> None:
        """A file was moved, which is complete then."""
        self._told.put(os.fsdecode(event.dest_path))

    def start(self) -> None:
        """Begin to watch."""
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, when what is being judged has its rows."""
        self._ended.set()
        self._told.put("")
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        observer = Observer()
        observer.schedule(self, str(self._watched.folder), recursive=True)
        observer.start()
        try:
            with WatchedTable(self._watched.table) as table:
                while not self._ended.is_set():
                    self._step_safely(table)
        except Exception:
            logger.exception("The folder %s is not watched any more", self._watched.folder)
        finally:
            observer.stop()
            observer.join()

    def _step_safely(self, table: WatchedTable) -> None:
        try:
            self.step(table, self._closed())
        except OSError as error:  # a disk that is full or away for a while
            logger.warning("%s The folder is looked at again in %g s.", error, self._watched.settle)
            self._ended.wait(self._watched.settle)
        except Exception:  # whatever one look meets must not end the watching
            logger.exception("A look at %s failed, and is repeated in %g s", self._watched.folder, self._watched.settle)
            self._ended.wait(self._watched.settle)

    def _closed(self) -> set[str]:
        """Files that were told of; waits for one as long as a file takes to settle."""
        told = set()
        try:
            told.add(self._told.get(timeout=self._watched.settle / 2))
            while True:
                told.add(self._told.get_nowait())
        except queue.Empty:
            return told

    def step(self, table: WatchedTable, closed: set[str]) -> None:
        """Look at the folder once, and judge what is complete.

        Args:
            table: Where rows go.
            closed: Files that are complete as the system tells.

        Raises:
            OSError: If the table cannot be written, or the folder not be read.
        """
        now = self._clock()
        found = {version.path: version for version in versions_in(self._watched.folder)}
        names = {os.path.relpath(path, self._watched.folder).replace(os.sep, "/") for path in closed if path}
        self._seen = {
            path: seen if (seen := self._seen.get(path)) and seen[0] == version else (version, now)
            for path, version in found.items()
            if version not in table.known
        }
        settled = {path for path, (_, since) in self._seen.items() if now - since >= self._watched.settle}
        ready = [self._seen[path][0] for path in self._seen if path in settled or path in names]
        for start in range(0, len(ready), _AT_A_TIME):
            if self._ended.is_set():
                return
            self._write(table, ready[start : start + _AT_A_TIME], settled)

    def _write(self, table: WatchedTable, versions: Sequence[Version], settled: set[str]) -> None:
        read = {version: self._read(version) for version in versions}
        photos = {version: found for version, found in read.items() if isinstance(found, Photo)}
        judged = dict(zip(photos, self._judge([*photos.values()]), strict=True)) if photos else {}
        rows = []
        for version, found in read.items():
            answer = judged[version] if isinstance(found, Photo) else found
            if "error" in answer:
                if self._is_tried_again(version, answer, settled):
                    continue
                logger.warning("%s", answer["error"])
            rows.append((version, answer))
        table.write(rows)
        for version, _ in rows:
            self._failures.pop(version, None)

    def _is_tried_again(self, version: Version, answer: dict[str, Any], settled: set[str]) -> bool:
        if answer["reason"] != "internal":
            return version.path not in settled  # it may be incomplete
        self._failures[version] += 1
        return self._failures[version] < _TRIES

    def _read(self, version: Version) -> Photo | dict[str, Any]:
        """Read a file, or tell what is wrong with it."""
        if version.size > self._watched.most_bytes:
            most = self._watched.most_bytes
            text = f"{version.path} has {version.size} bytes, and at most {most} are read. Make it smaller."
            return refused(version.path, "damaged", text)
        category = None if self._known is None else Path(version.path).parent.name
        if self._known is not None and category not in self._known:
            names = ", ".join(self._known)
            text = f"{version.path} should lie in a folder called as a category of the prompt bank: {names}. Move it."
            return refused(version.path, "category", text)
        try:
            return Photo(version.path, (self._watched.folder / version.path).read_bytes(), category)
        except OSError as error:
            return refused(version.path, "damaged", f"Cannot read {version.path}: {error.strerror}. Replace it.")


def versions_in(folder: Path) -> Iterator[Version]:
    """Images in a folder by name, with its subfolders, in order. What begins with a dot is passed over.

    Raises:
        OSError: If the folder cannot be read.
    """
    if not folder.is_dir():
        raise FileNotFoundError(2, f"The watched folder {folder} is not there")
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if name.startswith(".") or not is_image_file(path):
                continue
            with suppress(OSError):  # it may have gone meanwhile
                status = path.stat()
                if stat.S_ISREG(status.st_mode):
                    yield Version(path.relative_to(folder).as_posix(), status.st_size, status.st_mtime_ns)
