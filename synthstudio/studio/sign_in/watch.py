"""Blocks ended sessions, also on pages that are already open.

The guard is in front of it. Pages identify users when drawn, but their components' messages
are handled first: so each message of a websocket is checked here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import quote, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState

from synthstudio.core.errors import SynthStudioError
from synthstudio.review.team.accounts import CODE_PAGE, SIGN_IN_PAGE
from synthstudio.studio.guard import (
    BUSY_SESSION,
    Asgi,
    Message,
    Receive,
    Scope,
    Send,
    UserOf,
    cookies,
    header_map,
    log_refusal,
    refuse_busy,
)

_DRAW_ANEW = BackMsg(rerun_script=ClientState()).SerializeToString()
"""Replaces messages of an ended session: nothing is executed, and the page shows sign-in."""
_AGAIN_S = (0.2, 1.0, 3.0)
"""Waits between retries while the store cannot identify the user."""
_PROTOCOLS = b"sec-websocket-protocol"
_OPEN_PATHS = (SIGN_IN_PAGE, CODE_PAGE, "/api", "/healthz")
_NO_PAGES = (*_OPEN_PATHS, "/_stcore/", "/static/", "/media/", "/component/")


class SessionMiddleware:
    """ASGI middleware; see the module. `user_of` returns the user of a request's cookies."""

    def __init__(self, app: Asgi, *, user_of: UserOf) -> None:
        self.app, self.user_of = app, user_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        sent = cookies(header_map(scope))
        if scope["type"] == "http" and not _opens_a_page(scope):
            await self.app(scope, receive, send)
            return
        try:
            user = await run_in_threadpool(self.user_of, sent)
        except SynthStudioError as error:
            await refuse_busy(scope, send, error)
            return
        if scope["type"] == "websocket":
            # The sign-in page starts without state of an earlier page.
            scope = _without_state(scope) if user is None else scope
            await self.app(scope, self._watched(receive, sent, user), send)
        elif user is None:
            await _way_in(scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _watched(self, receive: Receive, sent: Mapping[str, str], user: str | None) -> Receive:
        logged: set[str] = set()

        async def watched() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            why = await self._why_not(sent, user)
            if not why:
                return message
            if why not in logged:
                logged.add(why)
                log_refusal(why, user=user)
            return {"type": "websocket.receive", "bytes": _DRAW_ANEW}

        return watched

    async def _why_not(self, sent: Mapping[str, str], user: str | None) -> str:
        """Return why a message is blocked; else "". A busy store is retried a few times."""
        for wait_s in _AGAIN_S:
            with suppress(SynthStudioError):
                same = await run_in_threadpool(self.user_of, sent) == user
                return "" if same else "messages after a session's end"
            await asyncio.sleep(wait_s)
        return BUSY_SESSION


def _opens_a_page(scope: Scope) -> bool:
    """Whether a browser opens a page directly or from ours: then it has sent its cookies."""
    headers = header_map(scope)
    return (
        scope["method"] == "GET"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-site") in ("none", "same-origin")
        and not str(scope["path"]).startswith(_NO_PAGES)
    )


def _way_in(scope: Scope) -> RedirectResponse:
    query = bytes(scope.get("query_string", b"")).decode("latin-1")
    path = urlsplit(str(scope["path"])).path + (f"?{query}" if query else "")
    to = "" if path == "/" else f"?to={quote(path, safe='/')}"
    return RedirectResponse(SIGN_IN_PAGE + to, 303, {"cache-control": "no-store"})


def _without_state(scope: Scope) -> Scope:
    """Return a websocket's scope without an earlier session: Streamlit's third protocol."""
    headers = [
        (name, b",".join(value.split(b",")[:2]) if name.lower() == _PROTOCOLS else value)
        for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers, "subprotocols": list(scope.get("subprotocols", ()))[:2]}
