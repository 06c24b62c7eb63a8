# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""A server on this machine's loopback interface that gives files as the Hugging Face Hub and OpenAI's store do."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from typing import Any, Literal

Fault = Literal["", "cut", "hang", "gated", "short"]


@dataclass
class Store:
    """What the server has, and how it fails.

    Attributes:
        commits: Commit by branch or tag.
        files: Content by commit and path; the commit is empty for plain files.
        fault: ``"cut"`` ends transfers in the middle, ``"short"`` gives less than was announced for the file,
            ``"hang"`` answers nothing, ``"gated"`` asks for a login.
        requests: Method and path of all requests.
        address: Where the server listens.
    """

    commits: dict[str, str] = field(default_factory=dict)
    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    fault: Fault = ""
    requests: list[str] = field(default_factory=list)
    address: str = ""
    released: threading.Event = field(default_factory=threading.Event)

    def find(self, path: str) -> tuple[str, bytes | None]:
        """Commit and content of a path, ``/OWNER/REPOSITORY/resolve/REVISION/FILE`` or plain."""
        parts = PurePosixPath(path).parts
        if "resolve" not in parts:
            return "", self.files.get(("", path))
        place = parts.index("resolve")
        revision, name = parts[place + 1], "/".join(parts[place + 2 :])
        commit = self.commits.get(revision, revision if revision in self.commits.values() else "")
        return commit, self.files.get((commit, name))


class _Handler(BaseHTTPRequestHandler):
    store: Store

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def log_message(self, *_: Any) -> None:
        """Write nothing to standard error."""

    def _answer(self, with_body: bool) -> None:
        store = self.store
        store.requests.append(f"{self.command} {self.path}")
        if store.fault == "hang":
            store.released.wait(30)
            return
        commit, content = store.find(self.path)
        if store.fault == "gated":
            self._refuse(401, "GatedRepo")
        elif not commit and "/resolve/" in self.path:
            self._refuse(404, "RevisionNotFound")
        elif content is None:
            self._refuse(404, "EntryNotFound")
        else:
            self._give(commit, content, with_body)

    def _refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _give(self, commit: str, content: bytes, with_body: bool) -> None:
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        sent = content[: len(content) // 2] if self.store.fault == "short" and with_body else content
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        if with_body:
            self.wfile.write(content[: len(content) // 2] if self.store.fault == "cut" else sent)
            self.close_connection = True


@contextmanager
def serve(store: Store) -> Iterator[Store]:
    """Serve on a free port of 127.0.0.1 for the while."""
    handler = type("Handler", (_Handler,), {"store": store})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        store.address = f"http://127.0.0.1:{server.server_port}"
        try:
            yield store
        finally:
            store.released.set()
            server.shutdown()
            thread.join()
