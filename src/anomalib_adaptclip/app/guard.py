# Copyright (C) 2026 The anomalib-adaptclip authors
# SPDX-License-Identifier: Apache-2.0

"""Who may talk to the page: browsers that know it by a name of this machine, and no foreign page in them."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class OwnOrigin:
    """Refuses requests that come from other pages: a browser sends files for any page, whatever it may read then.

    Args:
        app: The application.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        headers = Headers(scope=scope) if scope["type"] in {"http", "websocket"} else Headers()
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            await PlainTextResponse("Other pages may not use this one.", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def guards(names: Sequence[str]) -> list[Middleware]:
    """What stands before the page.

    Args:
        names: Names of this machine that are answered. Others may be those of foreign pages, bent to it.
    """
    return [Middleware(TrustedHostMiddleware, allowed_hosts=[*names]), Middleware(OwnOrigin)]
