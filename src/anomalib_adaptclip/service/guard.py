# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Who may speak to the service, and how much may be sent."""

import hmac
import json
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .limits import MIB, TOKEN, Limits

FORM = "multipart/form-data"
OPEN = {"/health"}  # paths that need no token


class Refusal:
    """An answer that refuses a whole request.

    Args:
        status: Of HTTP.
        detail: What was expected, what came, what to do.
        headers: Further headers.
    """

    def __init__(self, status: int, detail: str, headers: dict[str, str] | None = None) -> None:
        self._status, self._headers = status, headers or {}
        self._body = json.dumps({"detail": detail}).encode()

    async def __call__(self, send: Send) -> None:
        """Send it."""
        headers = {
            "content-type": "application/json",
            "content-length": str(len(self._body)),
            "connection": "close",  # what follows is not read
            **self._headers,
        }
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self._status, "headers": raw})
        await send({"type": "http.response.body", "body": self._body})


class Token:
    """Refuses requests without the token.

    Args:
        app: The application.
        token: The token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        given = Headers(scope=scope).get("authorization", "") if scope["type"] == "http" else ""
        is_open = scope["type"] != "http" or scope["path"] in OPEN
        if is_open or hmac.compare_digest(given.encode(), self._expected):
            await self._app(scope, receive, send)
            return
        text = f"The header 'Authorization: Bearer TOKEN' must hold the token that the service got by {TOKEN}."
        await Refusal(401, text, {"www-authenticate": "Bearer"})(send)


class Forms:
    """Refuses what is no form where images are expected.

    Args:
        app: The application.
        path: Where they are.
    """

    def __init__(self, app: ASGIApp, path: str) -> None:
        self._app, self._path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "http" and scope["path"] == self._path and scope["method"] == "POST":
            kind = Headers(scope=scope).get("content-type", "")
            if kind.partition(";")[0].strip().lower() != FORM:
                text = f"Images are sent as files of a form, {FORM}; got {kind[:100] or 'no type'!r}."
                await Refusal(415, text)(send)
                return
        await self._app(scope, receive, send)


class Sizes:
    """Refuses bodies that are too large, before they are read where they say so themselves.

    Args:
        app: The application.
        limits: What is taken.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits
        self._held = 0  # bytes of all requests that are being answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        said = Headers(scope=scope).get("content-length", "0")
        if not (said.isascii() and said.isdigit()):
            await Refusal(400, f"Content-Length must be a number of bytes; got {said[:40]!r}.")(send)
        elif refusal := self._refusal(int(said[:20]), int(said[:20])):
            await refusal(send)
        else:
            await self._counted(scope, receive, send)

    def _refusal(self, size: int, more: int) -> Refusal | None:
        """What is answered to a request of a size, of which some bytes are not counted yet."""
        if size > self._limits.request_bytes:
            most = self._limits.request_bytes / MIB
            return Refusal(413, f"A request may have {most:g} MiB. Send fewer images, or smaller ones.")
        if self._held + more > self._limits.waiting_bytes:
            return Refusal(503, "Too many images are waiting. Send these again later.", {"retry-after": "1"})
        return None

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, has_begun = 0, False
        refusal: Refusal | None = None

        async def counting() -> Message:
            nonlocal size, refusal
            message = await receive()
            more = len(message.get("body", b""))
            size, self._held = size + more, self._held + more
            refusal = refusal or self._refusal(size, 0)
            # To the application such a request looks cut off. It gets no more of it, and its answer is left out.
            return {"type": "http.disconnect"} if refusal else message

        async def answering(message: Message) -> None:
            nonlocal has_begun
            if refusal is None or has_begun:
                has_begun = True
                await send(message)

        try:
            await self._unless_cut_off(lambda: self._app(scope, counting, answering), lambda: refusal is not None)
        finally:
            self._held -= size
        if refusal is not None and not has_begun:
            await refusal(send)

    @staticmethod
    async def _unless_cut_off(run: Callable[[], Awaitable[None]], is_cut_off: Callable[[], bool]) -> None:
        try:
            await run()
        except Exception:
            if not is_cut_off():
                raise
