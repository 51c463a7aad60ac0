"""Sign-in by password, and checks of its sessions; failures do not reveal their reason.

The guard has already refused foreign forms (by their Origin). Codes and passwords are only in
bodies, so no address and no log contains them.
"""

import asyncio
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, quote, urlsplit

import jinja2
from anyio import CapacityLimiter, to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Route
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState

from synthstudio.core.errors import Refused, SynthStudioError
from synthstudio.review.team.accounts import CODE_PAGE, SIGN_IN_PAGE, choose_password, read_code
from synthstudio.review.team.members import NAME_CHARS, normal_name
from synthstudio.review.team.sessions import (
    LONGEST,
    MAX_CHARS,
    MIN_CHARS,
    TooManyFailures,
    address_key,
    read_session,
    sign_in,
)
from synthstudio.studio import guard
from synthstudio.studio.context import Context, context
from synthstudio.studio.guard import (
    Asgi,
    Message,
    Receive,
    Scope,
    Send,
    UserOf,
    cookies,
    header_map,
)

_HEADERS = {"Cache-Control": "no-store"}
_MAX_BYTES = 8_192
_SCRIPT = Path(__file__).with_name("sign_in.js")
_PAGE = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
    Path(__file__).with_name("sign_in.html").read_text("utf-8")
)
_WRONG = "Wrong name or password."
_BUSY = "The studio cannot do that now. Try again in a moment."
_AT_ONCE, _MAX_WAITING = 2, 16
"""Forms handled at a time, as hashing a password takes 64 MiB and a while; some more wait in a
queue, and the rest is refused at once."""
_RETRY_S = 5
_SAFE = re.compile(r"/(?:[A-Za-z0-9_\-.][A-Za-z0-9_\-./]*)?(?:\?[A-Za-z0-9_\-.~%&=+:,]*)?")
Fields = dict[str, str]
Use = Callable[[Context, Request, Fields], Response]
Answer = Callable[[Request], Awaitable[Response]]
_REDRAW: Message = {
    "type": "websocket.receive",
    "bytes": BackMsg(rerun_script=ClientState()).SerializeToString(),
}
"""Replaces messages without a session: nothing is executed, and the page shows sign-in."""
_AGAIN_S = (0.2, 1.0, 3.0)
"""Seconds between retries while the store cannot identify the user."""
_PROTOCOLS = b"sec-websocket-protocol"
_MAX_ANONYMOUS, _MAX_ANONYMOUS_OF = 200, 20
"""Websockets without a session: in total, and of an address."""
_OPEN_PATHS = (SIGN_IN_PAGE, CODE_PAGE, "/api", "/healthz")
_NO_PAGES = (*_OPEN_PATHS, "/_stcore/", "/static/", "/media/", "/component/")


def safe_path(text: str) -> str:
    """Return a path of the studio to return to, "/" if it leads elsewhere."""
    return text if len(text) <= 2_000 and _SAFE.fullmatch(text) else "/"


def account_of(ctx: Context) -> UserOf:
    def user_of(sent: Mapping[str, str]) -> str | None:
        return read_session(ctx.store, sent.get(ctx.browsers.session_cookie, ""))

    return user_of


def sign_in_routes() -> list[Route]:
    """Return the routes; without accounts they answer 404."""
    forms = _FormQueue()

    async def script(_: Request) -> Response:
        return FileResponse(_SCRIPT, media_type="text/javascript", headers=_HEADERS)

    async def enter(request: Request) -> Response:
        return _page("sign in", to=safe_path(request.query_params.get("to", "/")))

    async def invited(_: Request) -> Response:
        return _page("code")

    def route(path: str, answer: Answer, method: str = "GET") -> Route:
        async def checked(request: Request) -> Response:
            if not context().with_accounts:
                return PlainTextResponse("not found\n", status_code=404, headers=_HEADERS)
            return await answer(request)

        return Route(path, checked, methods=[method])

    return [
        route("/sign-in.js", script),
        route(SIGN_IN_PAGE, enter),
        route(SIGN_IN_PAGE, _form(_enter, forms), "POST"),
        route(CODE_PAGE, invited),
        route(CODE_PAGE, _form(_use_code, forms), "POST"),
    ]


class _FormQueue:
    """Handles forms in separate threads, so that only forms wait for them."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(_AT_ONCE)
        self._inside = 0

    async def take(self, use: Use, ctx: Context, request: Request, fields: Fields) -> Response:
        if self._inside >= _AT_ONCE + _MAX_WAITING:
            return _too_many(request, fields)
        self._inside += 1
        try:
            return await to_thread.run_sync(use, ctx, request, fields, limiter=self._limiter)
        finally:
            self._inside -= 1


def _form(use: Use, forms: _FormQueue) -> Answer:
    async def answer(request: Request) -> Response:
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > _MAX_BYTES:
                return PlainTextResponse("too large\n", status_code=413, headers=_HEADERS)
        try:
            found = parse_qs(data.decode("utf-8"), keep_blank_values=True, max_num_fields=8)
        except ValueError:
            return PlainTextResponse("no form\n", status_code=400, headers=_HEADERS)
        fields = {name: values[-1] for name, values in found.items()}
        return await forms.take(use, context(), request, fields)

    return answer


def _enter(ctx: Context, request: Request, fields: Fields) -> Response:
    name, to = normal_name(fields.get("name", "")), safe_path(fields.get("to", "/"))
    try:
        found = _signed_in(ctx, request, name, fields.get("password", ""), to=to)
    except TooManyFailures as error:
        return _waiting(request, error.wait, name=name, to=to)
    except Refused:
        return _page("sign in", _BUSY, 503, name=name, to=to)
    if found is None:
        # The name is not logged: it may be a mistyped password.
        guard.log_refusal("a sign-in", client=_client(request))
        return _page("sign in", _WRONG, 401, name=name, to=to)
    return found


def _use_code(ctx: Context, request: Request, fields: Fields) -> Response:
    text = fields.get("code", "").strip().rpartition("#")[2]  # or the whole link
    try:
        code = read_code(ctx.store, text)
    except Refused:
        return _page("code", _BUSY, 503, code=text)
    if code is None or ctx.is_outranked(code):
        return _no_code(request)
    if "password" not in fields:
        return _page("password", code=text, name=code.name)
    if fields["password"] != fields.get("again"):
        return _page("password", "The two passwords differ.", 400, code=text, name=code.name)
    try:
        name = choose_password(ctx.store, text, fields["password"])
    except Refused as error:
        if error.reason == "gone":
            return _no_code(request)
        problem, status = (str(error), 400) if error.reason == "invalid" else (_BUSY, 503)
        return _page("password", problem, status, code=text, name=code.name)
    ctx.forget_roles()
    guard.LOG.info("password of %s chosen, by a code of %s", ascii(name), ascii(code.by))
    try:  # the code is used up and not needed again
        found = _signed_in(ctx, request, name, fields["password"])
    except TooManyFailures as error:
        return _waiting(request, error.wait)
    except Refused:
        return Response(status_code=303, headers={"Location": SIGN_IN_PAGE, **_HEADERS})
    return found or _no_code(request)


def _signed_in(
    ctx: Context, request: Request, name: str, password: str, *, to: str = "/"
) -> Response | None:
    """The redirect, with the cookie of a new session; None for a wrong password."""
    cookie = ctx.browsers.session_cookie
    old = cookies(header_map(request.scope)).get(cookie, "")
    secret = ctx.names_key
    text = sign_in(ctx.store, name, password, address=_client(request), secret=secret, old=old)
    if text is None:
        return None
    guard.LOG.info("signed in %s from %s", ascii(name), _client(request))
    found = Response(status_code=303, headers={"Location": to, **_HEADERS})
    found.set_cookie(
        cookie,
        text,
        max_age=int(LONGEST.total_seconds()),
        httponly=True,
        samesite="strict",
        secure=request.url.scheme == "https",
    )
    return found


def _too_many(request: Request, fields: Fields) -> Response:
    guard.log_refusal("a sign-in while many others wait", client=_client(request))
    if request.url.path != SIGN_IN_PAGE:
        return _page("code", _BUSY, 503, code=fields.get("code", ""))
    name, to = normal_name(fields.get("name", "")), safe_path(fields.get("to", "/"))
    return _page("sign in", _BUSY, 503, name=name, to=to)


def _no_code(request: Request) -> Response:
    guard.log_refusal("an invalid code", client=_client(request))
    problem = "This code is invalid or has expired. Ask for another link."
    return _page("code", problem, 410)


def _waiting(request: Request, wait: timedelta, *, name: str = "", to: str = "/") -> Response:
    guard.log_refusal("a sign-in after too many failed attempts", client=_client(request))
    minutes = math.ceil(wait.total_seconds() / 60)
    some = "a minute" if minutes == 1 else f"{minutes} minutes"
    problem = f"Too many failed attempts. Wait {some}, then try again."
    page = _page("sign in", problem, 429, name=name, to=to)
    page.headers["Retry-After"] = str(math.ceil(wait.total_seconds()))
    return page


def _client(request: Request) -> str:
    return request.client.host if request.client else "?"


def _page(
    page: Literal["sign in", "code", "password"],
    problem: str = "",
    status: int = 200,
    *,
    name: str = "",
    to: str = "/",
    code: str = "",
) -> Response:
    """A form. `to`: the page to go to afterwards; `code`: of an invitation."""
    text = _PAGE.render(
        page=page,
        problem=problem,
        name=name,
        to=to,
        code=code,
        sign_in=SIGN_IN_PAGE,
        invitation=CODE_PAGE,
        maximum=MAX_CHARS,
        minimum=MIN_CHARS,
        name_chars=NAME_CHARS,
    )
    retry = {"Retry-After": str(_RETRY_S)} if status == 503 else {}
    return HTMLResponse(text, status_code=status, headers={**_HEADERS, **retry})


class SessionMiddleware:
    """ASGI middleware: blocks ended sessions, also on pages that are already open.

    The guard is in front of it. Pages identify users when drawn, but their components' messages
    are handled first: so each message of a websocket is checked here.
    """

    def __init__(self, app: Asgi, *, user_of: UserOf) -> None:
        self.app, self.user_of = app, user_of
        self.anonymous: Counter[str] = Counter()

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
            await guard.refuse_busy(scope, send, error)
            return
        if scope["type"] == "websocket":
            if user is None:
                await self._anonymous(scope, receive, send)
            else:
                await self.app(scope, self._watched(receive, sent, user), send)
        elif user is None:
            await _way_in(scope)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _anonymous(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Show the sign-in page, without state of an earlier page; to a limited number."""

        async def redrawn() -> Message:
            message = await receive()
            return _REDRAW if message["type"] == "websocket.receive" else message

        where = address_key((scope.get("client") or ("?",))[0])
        many = self.anonymous.total() >= _MAX_ANONYMOUS
        if many or self.anonymous[where] >= _MAX_ANONYMOUS_OF:
            await guard.refuse_busy(scope, send, "", "one of many websockets without sign-in")
            return
        self.anonymous[where] += 1
        try:
            await self.app(_without_state(scope), redrawn, send)
        finally:
            self.anonymous -= Counter([where])  # drops zeros

    def _watched(self, receive: Receive, sent: Mapping[str, str], user: str) -> Receive:
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
                guard.log_refusal(why, user=user)
            return _REDRAW

        return watched

    async def _why_not(self, sent: Mapping[str, str], user: str) -> str:
        """Why a message is blocked; else "". A busy store is retried a few times."""
        for wait_s in _AGAIN_S:
            with suppress(SynthStudioError):
                same = await run_in_threadpool(self.user_of, sent) == user
                return "" if same else "messages after a session's end"
            await asyncio.sleep(wait_s)
        return guard.BUSY_SESSION


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
    """A websocket's scope without an earlier session: Streamlit's third protocol."""
    headers = [
        (name, b",".join(value.split(b",")[:2]) if name.lower() == _PROTOCOLS else value)
        for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers, "subprotocols": list(scope.get("subprotocols", ()))[:2]}
