"""Requests become calls: token, rate, body, and one shape for every refusal.

Nothing but the header Authorization says who asks; cookies are not looked at. So no page of another
site can make a browser do anything here, and no Origin is needed (guard.py).
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from synthstudio.core.errors import DatasetError, Refused, SynthStudioError
from synthstudio.review.tokens import read_token
from synthstudio.review.values import ROLES, User, require
from synthstudio.studio import guard
from synthstudio.studio.context import Context, context
from synthstudio.studio.text import without_paths
from synthstudio.studio.web_api.calls import Call, Operation, Picture
from synthstudio.studio.web_api.openapi import document, page
from synthstudio.studio.web_api.operations import OPERATIONS

BASE = "/api/v1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}
_STATUS = {"invalid": 400, "token": 401, "role": 403, "gone": 404, "revision": 409, "lease": 409}
_DEEPEST = 12
LOG = logging.getLogger("synthstudio.studio.api")
Endpoint = Callable[[Request], Awaitable[Response]]


class _TooMany(Exception):
    """Somebody asked too often."""

    def __init__(self, wait_s: float) -> None:
        super().__init__("too many requests")
        self.wait_s = wait_s


class _Authenticator:
    """Whose token a request has, and rate limits; one for a server."""

    def __init__(self) -> None:
        self.known, self.anonymous = Buckets(TOKEN), Buckets(ANONYMOUS)

    def user(self, ctx: Context, request: Request) -> User:
        """Return whose token this is, with what that person may do by it now."""
        client = request.client.host if request.client else "?"
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        found = read_token(ctx.store, text.strip()) if kind.lower() == "bearer" else None
        if found is None:
            wait_s = self.anonymous.take(client)
            if wait_s:
                raise _TooMany(wait_s)
            guard.log_refusal("a call without a token that holds", client=client)
            raise _Unknown
        wait_s = self.known.take(str(found.id))
        if wait_s:
            raise _TooMany(wait_s)
        role = ctx.role_by_token(found.who)
        if role is None:
            guard.log_refusal("a token of a stranger", user=found.who, token=found.id)
            raise _Unknown
        return User(name=found.who, role=min(role, found.role, key=ROLES.index))


class _Unknown(Exception):
    """Nobody whom we know."""


def api_routes() -> list[Route]:
    """Return the routes of the API, its document and its page."""
    callers = _Authenticator()
    described = document(OPERATIONS, BASE)

    async def show_document(_: Request) -> Response:
        return JSONResponse(described, headers=_HEADERS)

    async def show_page(_: Request) -> Response:
        return HTMLResponse(page(OPERATIONS, BASE), headers=_HEADERS)

    async def nothing(request: Request) -> Response:
        return _error(404, "gone", f"there is nothing here; see {BASE}/docs")

    found = [
        Route(f"{BASE}/openapi.json", show_document, methods=["GET"]),
        Route(f"{BASE}/docs", show_page, methods=["GET"]),
    ]
    found += [Route(BASE + o.path, _endpoint(o, callers), methods=[o.method]) for o in OPERATIONS]
    every = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return [*found, Route("/api{rest:path}", nothing, methods=every)]


def _endpoint(operation: Operation, callers: _Authenticator) -> Endpoint:
    async def answer(request: Request) -> Response:
        ctx = context()
        try:
            me = await run_in_threadpool(callers.user, ctx, request)
            require(me, operation.action)
            call = Call(
                ctx=ctx,
                me=me,
                path=request.path_params,
                query=_query(operation, request),
                body=await _body(request, ctx) if operation.body is not None else None,
            )
            done = await run_in_threadpool(operation.run, call)
        except _Unknown:
            text = f"show a token that holds: Authorization: Bearer TOKEN; see {BASE}/docs"
            return _error(401, "token", text, {"WWW-Authenticate": "Bearer"})
        except _TooMany as error:
            wait = {"Retry-After": str(math.ceil(error.wait_s))}
            return _error(429, "rate", "too many requests; wait a little", wait)
        except _TooLarge:
            return _error(413, "invalid", "this body is too large; send it in parts")
        except ClientDisconnect:
            return _error(400, "invalid", "the request ended in the middle")
        except Refused as error:
            return _error(_STATUS.get(error.reason, 503), error.reason, without_paths(error))
        except DatasetError as error:
            LOG.warning("%s: %s", operation.name, error)
            return _error(404, "gone", without_paths(error))
        except SynthStudioError as error:
            LOG.warning("%s: %s", operation.name, error)
            return _error(400, "invalid", without_paths(error))
        if isinstance(done, Picture):
            return Response(done.data, media_type=done.media_type, headers=_HEADERS)
        return JSONResponse(done, headers=_HEADERS)

    return answer


def _query(operation: Operation, request: Request) -> dict[str, str]:
    given = request.query_params.multi_items()
    unknown = [name for name, _ in given if name not in operation.query]
    if unknown or len({name for name, _ in given}) != len(given):
        raise Refused(
            "there is no such parameter, or it is there twice",
            where="query",
            expected=", ".join(operation.query) or "none",
            got=f"{len(given)} of them",
            reason="invalid",
        )
    return dict(given)


class _TooLarge(Exception):
    """More bytes than a message may have."""


async def _body(request: Request, ctx: Context) -> Any:
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > ctx.settings.limits.message_bytes:
            raise _TooLarge
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _no_json("Content-Type: application/json", kind[:60] or "none")
    try:
        return await run_in_threadpool(_parsed, bytes(data))
    except (ValueError, RecursionError) as error:
        raise _no_json("JSON without NaN, in UTF-8", type(error).__name__) from error


def _parsed(data: bytes) -> Any:
    found = json.loads(data.decode("utf-8"), parse_constant=_no_constant, parse_int=_integer)
    _check_depth(found, _DEEPEST)
    return found


def _integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError("a number that no field holds")
    return int(text)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _check_depth(value: Any, left: int) -> None:
    if left == 0:
        raise ValueError("deeper than anything that is asked for")
    inner = value.values() if isinstance(value, dict) else value
    for one in inner if isinstance(value, dict | list) else ():
        if isinstance(one, dict | list):
            _check_depth(one, left - 1)


def _no_json(expected: str, got: str) -> Refused:
    return Refused(
        "this body cannot be read", where="body", expected=expected, got=got, reason="invalid"
    )


def _error(status: int, reason: str, message: str, more: dict[str, str] | None = None) -> Response:
    body = {"error": {"reason": reason, "message": message}}
    return JSONResponse(body, status_code=status, headers={**_HEADERS, **(more or {})})


_KEPT = 4_096


@dataclass(frozen=True, kw_only=True)
class Rate:
    """`burst` requests at once, then `per_s` a second."""

    burst: int
    per_s: float


TOKEN = Rate(burst=300, per_s=30.0)
"""Of a token that holds."""
ANONYMOUS = Rate(burst=20, per_s=0.2)
"""Of an address that shows none; more than that are not logged, and answered with 429 alone.

A token that holds is looked up and taken all the same: others may share the address.
"""


class Buckets:
    """Buckets by name, the last used ones kept; safe for threads."""

    def __init__(self, rate: Rate, *, now: Callable[[], float] = time.monotonic) -> None:
        self._rate, self._now, self._lock = rate, now, threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, name: str) -> float:
        """Take one; return 0, or the seconds until there is one again."""
        now = self._now()
        with self._lock:
            left, at = self._left.pop(name, (float(self._rate.burst), now))
            left = min(left + (now - at) * self._rate.per_s, float(self._rate.burst))
            wait_s = 0.0 if left >= 1.0 else (1.0 - left) / self._rate.per_s
            self._left[name] = (left - 1.0 if left >= 1.0 else left, now)
            while len(self._left) > _KEPT:
                self._left.popitem(last=False)
        return wait_s
