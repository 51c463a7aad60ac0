"""Calls of the API: authentication, limits of rate and size, errors, the caller and the data set.

A program sends a token (`Authorization: Bearer`). Our pages send the browser's cookies and, for
changes, also the header Synthstudio-User, which other sites cannot send.
"""

import asyncio
import logging
import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from synthstudio.core.errors import DatasetError, Refused, SynthStudioError
from synthstudio.core.last_used import LastUsed
from synthstudio.review.team.members import read_token
from synthstudio.review.team.second_review import blinded_among, share_of
from synthstudio.review.values import MAIN, ROLES, Action, Pair, Person, User, may, require
from synthstudio.studio import guard
from synthstudio.studio.context import Context, OpenSet, context
from synthstudio.studio.editor.ops import refused_fields
from synthstudio.studio.guard import Asgi, Buckets, Message, Receive, Scope, Send, UserOf
from synthstudio.studio.page_parts import API, without_paths

BASE = API
MAX_PAGE, PAGE = 500, 100
MAX_NUMBER = 2**31 - 1
Json = dict[str, Any]
Number = Annotated[int, Path(ge=0, le=MAX_NUMBER)]


@dataclass(frozen=True, kw_only=True)
class Call:
    """The caller. `browser`: the browser's name for our pages, "" for a program."""

    ctx: Context
    me: User
    browser: str = ""


@dataclass(frozen=True, kw_only=True)
class SetCall(Call):
    chosen: OpenSet

    def hidden(self, people: Collection[Pair], layer: str = MAIN) -> set[Pair]:
        """Return people whose review must be hidden: a second review is blind."""
        if layer != MAIN or not people or may(self.me.role, "adjudicate"):
            return set()
        store, chosen = self.ctx.store, self.chosen
        with store.snapshot():
            share = share_of(store, chosen.key, "second_share")
            return blinded_among(store, chosen.table, people, who=self.me, share=share)

    def person(self, frame: int, instance: int, layer: str = MAIN) -> Person:
        return Person(dataset=self.chosen.key, frame=frame, instance=instance, layer=layer)

    def frame(self, index: int) -> int:
        """Return a frame's number; Refused("gone") if the data set has no such frame."""
        if index >= self.chosen.dataset.frames:
            raise Refused("the data set does not hold this frame", where=str(index), reason="gone")
        return index


async def call_of(request: Request) -> Call:
    found: Call = request.state.call
    return found


def on_set(call: Call, key: str) -> SetCall:
    """Return a call on the data set of this key; Refused("gone") if not open."""
    found = call.ctx.sets.get(key)
    if found is None:
        raise Refused(
            "this data set is not open here",
            where="set",
            expected="a key of GET /api/v1/sets",
            got=key[:64],
            reason="gone",
        )
    return SetCall(ctx=call.ctx, me=call.me, browser=call.browser, chosen=found)


async def set_call_of(call: Annotated[Call, Depends(call_of)], set: str) -> SetCall:
    return on_set(call, set)


AnyCall = Annotated[Call, Depends(call_of)]
OnSet = Annotated[SetCall, Depends(set_call_of)]


def needs(action: Action) -> Any:
    """Return the dependency of an operation restricted by role."""

    async def check(call: AnyCall) -> None:
        require(call.me, action)

    return Depends(check)


class Page(BaseModel):
    """A page of a list."""

    limit: int = Field(PAGE, ge=1, le=MAX_PAGE)
    after: int | None = Field(None, ge=0, le=MAX_NUMBER, description="next of the page before")


Paged = Annotated[Page, Query()]


_STATUS = {"invalid": 400, "token": 401, "role": 403, "gone": 404, "revision": 409, "lease": 409}
_REASON = {400: "invalid", 404: "gone", 405: "invalid", 413: "invalid"}
_OPEN = (f"{BASE}/openapi.json", f"{BASE}/docs")
_USER = "synthstudio-user"
LOG = logging.getLogger("synthstudio.studio.api")


TOKEN = 300, 30.0
"""Requests at once, then a second, of a valid token."""
ANONYMOUS = 20, 0.2
"""Of an address without one; excess requests are not logged, and answered with 429.

A valid token is still accepted: others may share the address.
"""


_AT_ONCE = 6
"""Requests of a user at a time, as browsers send; more wait, but not in a thread: all users have
forty."""


class Authenticator:
    """ASGI middleware: identifies the caller, and limits rate, size and requests at a time."""

    def __init__(self, app: Asgi, *, user_of: UserOf) -> None:
        self.app, self.user_of = app, user_of
        self.known, self.anonymous = Buckets(*TOKEN), Buckets(*ANONYMOUS)
        self.turns: LastUsed[str, asyncio.Semaphore] = LastUsed(1_000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["path"] not in _OPEN:
            request = Request(scope)
            try:
                request.state.call = await run_in_threadpool(self._call, request)
            except (SynthStudioError, HTTPException) as error:
                response = await failed(request, error)
                await response(scope, receive, answer)
                return
            name = request.state.call.me.name
            async with self.turns.get_or(name, lambda: asyncio.Semaphore(_AT_ONCE)):
                await self.app(scope, _limited(receive), answer)
            return
        await self.app(scope, _limited(receive), answer)

    def _call(self, request: Request) -> Call:
        ctx = context()
        client = request.client.host if request.client else "?"
        by_token = "authorization" in request.headers
        call = self._by_token(ctx, request) if by_token else self._by_page(ctx, request)
        if call is None:
            _check_rate(self.anonymous, client)
            guard.log_refusal("an unauthenticated call", client=client, token=by_token)
            text = f"no valid token (Authorization: Bearer TOKEN) or session; see {BASE}/docs"
            raise HTTPException(401, text, {"WWW-Authenticate": "Bearer"})
        return call

    def _by_token(self, ctx: Context, request: Request) -> Call | None:
        kind, _, text = request.headers["authorization"].partition(" ")
        found = read_token(ctx.store, text.strip()) if kind.lower() == "bearer" else None
        if found is None:
            return None
        _check_rate(self.known, str(found.id))
        role = ctx.role_by_token(found.who)
        if role is None:
            guard.log_refusal("a token of a non-member", user=found.who, token=found.id)
            return None
        return Call(ctx=ctx, me=User(name=found.who, role=min(role, found.role, key=ROLES.index)))

    def _by_page(self, ctx: Context, request: Request) -> Call | None:
        sent = guard.cookies(guard.header_map(request.scope))
        browser = ctx.browsers.name_of(sent.get(ctx.browsers.cookie))
        given = request.headers.get(_USER)
        if not browser or (given is None and request.method not in ("GET", "HEAD")):
            return None
        name = self.user_of(sent) if ctx.signed_in else ctx.names.get(browser)
        role = None if name is None else ctx.role_of(name, browser)
        if name is None or role is None:
            return None
        if given is not None and unquote(given) != name:
            guard.log_refusal("a page of another user", user=name)
            raise HTTPException(401, "Another user is signed in here now. Sign in again.")
        return Call(ctx=ctx, me=User(name=name, role=role), browser=browser)


def _check_rate(buckets: Buckets, name: str) -> None:
    wait_s = buckets.take(name)
    if wait_s:
        wait = {"Retry-After": str(math.ceil(wait_s))}
        raise HTTPException(429, "too many requests; wait a little", wait)


def _limited(receive: Receive) -> Receive:
    """`receive` that stops at a body above the size limit."""
    limit, size = context().settings.limits.message_bytes, 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413, "this body is too large; send it in parts")
        return message

    return limited


async def check_query(request: Request) -> None:
    path, method = request.scope["route"].path, request.method.lower()
    described = request.app.openapi()["paths"][path][method].get("parameters", ())
    known = [one["name"] for one in described if one["in"] == "query"]
    given = [name for name, _ in request.query_params.multi_items()]
    if set(given) - set(known) or len(set(given)) != len(given):
        raise Refused(
            "unknown or repeated query parameter",
            where="query",
            expected=", ".join(known) or "none",
            got=f"{len(given)} parameters",
            reason="invalid",
        )


async def failed(request: Request, error: Any) -> Response:
    """Return an error response; all errors have this form."""
    path = request.url.path
    if isinstance(error, HTTPException):
        reason = {401: "token", 429: "rate"}.get(error.status_code)
        reason = reason or _REASON.get(error.status_code, "invalid")
        return error_response(error.status_code, reason, str(error.detail), error.headers)
    if isinstance(error, RequestValidationError):
        error = refused_fields(error.errors(), "request")
    if isinstance(error, Refused):
        if error.reason == "busy":
            LOG.warning("%s: %s", path, error)
        return error_response(_STATUS.get(error.reason, 503), error.reason, without_paths(error))
    LOG.warning("%s: %s", path, error)
    status = 404 if isinstance(error, DatasetError) else 400
    return error_response(status, _REASON[status], without_paths(error))


def error_response(status: int, reason: str, message: str, headers: Any = None) -> Response:
    shown = message.encode("utf-8", "replace").decode()  # JSON may contain lone surrogates
    body = {"error": {"reason": reason, "message": shown}}
    return JSONResponse(body, status_code=status, headers=headers)
