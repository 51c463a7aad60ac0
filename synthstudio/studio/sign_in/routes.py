"""The routes of sign-in by a password: who may come in gets a cookie, nobody learns why not.

The guard has refused forms of other pages before (their Origin). Codes and passwords come in
bodies alone, so no address and no log has them.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from string import Template
from urllib.parse import parse_qs

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from synthstudio.core.errors import Refused
from synthstudio.review.names import NAME_CHARS, normal_name
from synthstudio.review.team.accounts import CODE_PAGE, SIGN_IN_PAGE, choose_password, read_code
from synthstudio.review.team.passwords import LEAST_CHARS, MOST_CHARS
from synthstudio.review.team.sessions import LONGEST, Waits, read_session, sign_in
from synthstudio.studio import guard
from synthstudio.studio.context import Context, context

_HEADERS = {"Cache-Control": "no-store"}
_MOST_BYTES = 8_192
_SCRIPT = Path(__file__).with_name("code.js")
_PAGE = Template(Path(__file__).with_name("page.html").read_text("utf-8"))
_WRONG = "The name or the password is not right."
_BUSY = "The studio cannot do that now. Try again in a moment."
_AT_ONCE, _MOST_WAITING = 2, 16
"""So many forms are used at a time, for the hash of a password takes 64 MiB and a while; some more
wait in a queue, and those behind it are answered at once."""
_RETRY_S = 5
_SAFE = re.compile(r"/(?:[A-Za-z0-9_\-.][A-Za-z0-9_\-./]*)?(?:\?[A-Za-z0-9_\-.~%&=+:,]*)?")
Fields = dict[str, str]
Use = Callable[[Context, Request, Fields], Response]


def safe_path(text: str) -> str:
    """Return a path of the studio that somebody came for, "/" for whatever leads elsewhere."""
    return text if len(text) <= 2_000 and _SAFE.fullmatch(text) else "/"


def account_of(ctx: Context) -> guard.UserOf:
    """Return what tells who signed in by a password with a request's cookies."""

    def user_of(cookies: Mapping[str, str]) -> str | None:
        return read_session(ctx.store, cookies.get(ctx.tokens.session_cookie, ""))

    return user_of


def sign_in_routes() -> list[Route]:
    """Return the routes; without accounts there is nothing behind them."""
    turns = _Turns()

    async def script(_: Request) -> Response:
        return FileResponse(_SCRIPT, media_type="text/javascript", headers=_HEADERS)

    async def enter(request: Request) -> Response:
        to = safe_path(request.query_params.get("to", "/"))
        return HTMLResponse(sign_in_page(to=to), headers=_HEADERS)

    async def invited(_: Request) -> Response:
        return HTMLResponse(code_page(), headers=_HEADERS)

    return [
        Route(SCRIPT_PATH, _only_with_accounts(script), methods=["GET"]),
        Route(SIGN_IN_PAGE, _only_with_accounts(enter), methods=["GET"]),
        Route(SIGN_IN_PAGE, _only_with_accounts(_form(_enter, turns)), methods=["POST"]),
        Route(CODE_PAGE, _only_with_accounts(invited), methods=["GET"]),
        Route(CODE_PAGE, _only_with_accounts(_form(_use_code, turns)), methods=["POST"]),
    ]


def _only_with_accounts(answer: Callable[[Request], object]) -> Callable[[Request], object]:
    async def checked(request: Request) -> object:
        if not context().with_accounts:
            return PlainTextResponse("not found\n", status_code=404, headers=_HEADERS)
        return await answer(request)  # type: ignore[misc]

    return checked


class _Turns:
    """Uses forms in threads of their own, so that nothing but forms waits for them."""

    def __init__(self) -> None:
        self._limiter = CapacityLimiter(_AT_ONCE)
        self._inside = 0

    async def take(self, use: Use, ctx: Context, request: Request, fields: Fields) -> Response:
        """Return what a form leads to; the form again where too many wait already."""
        if self._inside >= _AT_ONCE + _MOST_WAITING:
            return _too_many(request, fields)
        self._inside += 1
        try:
            return await to_thread.run_sync(use, ctx, request, fields, limiter=self._limiter)
        finally:
            self._inside -= 1


def _form(use: Use, turns: _Turns) -> Callable[[Request], object]:
    async def answer(request: Request) -> Response:
        data = bytearray()
        async for chunk in request.stream():
            data += chunk
            if len(data) > _MOST_BYTES:
                return PlainTextResponse("too large\n", status_code=413, headers=_HEADERS)
        try:
            found = parse_qs(data.decode("utf-8"), keep_blank_values=True, max_num_fields=8)
        except ValueError:
            return PlainTextResponse("no form\n", status_code=400, headers=_HEADERS)
        fields = {name: values[-1] for name, values in found.items()}
        return await turns.take(use, context(), request, fields)

    return answer


def _enter(ctx: Context, request: Request, fields: Fields) -> Response:
    name, to = normal_name(fields.get("name", "")), safe_path(fields.get("to", "/"))

    def again(problem: str, status: int) -> Response:
        page = sign_in_page(to=to, name=name, problem=problem)
        return HTMLResponse(page, status_code=status, headers=_HEADERS)

    try:
        found = _signed_in(ctx, request, name, fields.get("password", ""), to=to)
    except Waits as error:
        return _waiting(request, again(wait_text(error.wait), 429), error.wait)
    except Refused:
        return _try_again(sign_in_page(to=to, name=name, problem=_BUSY))
    if found is None:
        # The name is not logged: people type passwords there.
        guard.log_refusal("a sign-in", client=_client(request))
        return again(_WRONG, 401)
    return found


def _use_code(ctx: Context, request: Request, fields: Fields) -> Response:
    text = fields.get("code", "").strip().rpartition("#")[2]  # or the whole link
    try:
        code = read_code(ctx.store, text)
    except Refused:
        return _try_again(code_page(code=text, problem=_BUSY))
    if code is None or ctx.is_outranked(code):
        return _no_code(request)
    if "password" not in fields:
        return HTMLResponse(password_page(code=text, name=code.name), headers=_HEADERS)
    problem = "The two passwords differ."
    if fields["password"] == fields.get("again"):
        try:
            name = choose_password(ctx.store, text, fields["password"])
        except Refused as error:
            if error.reason == "gone":
                return _no_code(request)
            if error.reason != "invalid":
                return _try_again(password_page(code=text, name=code.name, problem=_BUSY))
            problem = str(error)
        else:
            ctx.forget_roles()
            guard.LOG.info("password of %s chosen, by a code of %s", ascii(name), ascii(code.by))
            return _enter_first(ctx, request, name, fields["password"])
    again = password_page(code=text, name=code.name, problem=problem)
    return HTMLResponse(again, status_code=400, headers=_HEADERS)


def _enter_first(ctx: Context, request: Request, name: str, password: str) -> Response:
    """Sign in who has just chosen a password; the code is spent, so nothing asks for it again."""
    try:
        found = _signed_in(ctx, request, name, password)
    except Waits as error:
        page = HTMLResponse(sign_in_page(problem=wait_text(error.wait)), 429, _HEADERS)
        return _waiting(request, page, error.wait)
    except Refused:
        return Response(status_code=303, headers={"Location": SIGN_IN_PAGE, **_HEADERS})
    return found or _no_code(request)


def _signed_in(
    ctx: Context, request: Request, name: str, password: str, *, to: str = "/"
) -> Response | None:
    """Return the way on, with the cookie of a new session; None for a wrong password."""
    cookie = ctx.tokens.session_cookie
    old = guard.cookies(guard.header_map(request.scope)).get(cookie, "")
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
    """Return what is said at once while others are signing in: the form again."""
    guard.log_refusal("a sign-in while many others wait", client=_client(request))
    if request.url.path == SIGN_IN_PAGE:
        name, to = normal_name(fields.get("name", "")), safe_path(fields.get("to", "/"))
        page = sign_in_page(to=to, name=name, problem=_BUSY)
    else:
        page = code_page(code=fields.get("code", ""), problem=_BUSY)
    return _try_again(page)


def _try_again(page: str) -> Response:
    return HTMLResponse(page, status_code=503, headers={**_HEADERS, "Retry-After": str(_RETRY_S)})


def _no_code(request: Request) -> Response:
    guard.log_refusal("a code that does not hold", client=_client(request))
    problem = "This code does not hold any more, or never did. Ask for another link."
    return HTMLResponse(code_page(problem=problem), status_code=410, headers=_HEADERS)


def _waiting(request: Request, page: Response, wait: timedelta) -> Response:
    guard.log_refusal("a sign-in after too many wrong tries", client=_client(request))
    page.headers["Retry-After"] = str(math.ceil(wait.total_seconds()))
    return page


def _client(request: Request) -> str:
    return request.client.host if request.client else "?"


SCRIPT_PATH = "/sign-in.js"


def sign_in_page(*, to: str = "/", name: str = "", problem: str = "") -> str:
    """Return the page that asks for name and password. `to`: the page to go to afterwards."""
    fields = _field("name", "Name", value=name, complete="username", longest=NAME_CHARS)
    fields += _field("password", "Password", kind="password", complete="current-password")
    fields += _hidden("to", to)
    note = "No account? Ask a lead for an invitation. Forgotten? An admin makes a new link."
    return _page("Sign in", SIGN_IN_PAGE, fields, "Sign in", note=note, problem=problem)


def code_page(*, code: str = "", problem: str = "") -> str:
    """Return the page that an invitation opens: it asks for the code, and its script knows it."""
    fields = _field("code", "Code of the invitation", value=code, longest=MOST_CHARS)
    note = "The code is what stands behind # in the link that you were given."
    return _page("Invitation", CODE_PAGE, fields, "Continue", note=note, problem=problem, code=True)


def password_page(*, code: str, name: str, problem: str = "") -> str:
    """Return the page on which the owner of a code chooses a password."""
    fields = _hidden("code", code)
    fields += _field("name", "Name", value=name, complete="username", fixed=True)
    fields += _field("password", "New password", kind="password", complete="new-password")
    fields += _field("again", "The same again", kind="password", complete="new-password")
    note = (
        f"At least {LEAST_CHARS} characters: some words in a row are easy to keep in mind. Not "
        "your name, and nothing that is tried first."
    )
    return _page(
        "Choose a password", CODE_PAGE, fields, "Save and sign in", note=note, problem=problem
    )


def wait_text(wait: timedelta) -> str:
    """Return what is said after too many wrong tries."""
    minutes = math.ceil(wait.total_seconds() / 60)
    some = "a minute" if minutes == 1 else f"{minutes} minutes"
    return f"Too many wrong tries. Wait {some}, then try again."


def _field(
    name: str,
    label: str,
    *,
    kind: str = "text",
    value: str = "",
    complete: str = "off",
    longest: int = MOST_CHARS,
    fixed: bool = False,
) -> str:
    readonly = " readonly" if fixed else ""
    return (
        f'<label for="{name}">{label}</label>'
        f'<input id="{name}" name="{name}" type="{kind}" value="{html.escape(value)}" '
        f'maxlength="{longest}" autocomplete="{complete}" autocapitalize="none" '
        f'spellcheck="false" required{readonly}>'
    )


def _hidden(name: str, value: str) -> str:
    return f'<input type="hidden" name="{name}" value="{html.escape(value)}">'


def _page(
    title: str,
    action: str,
    fields: str,
    button: str,
    *,
    note: str,
    problem: str = "",
    code: bool = False,
) -> str:
    shown = f'<p role="alert">{html.escape(problem)}</p>' if problem else ""
    script = f'<script src="{SCRIPT_PATH}" defer></script>' if code else ""
    return _PAGE.substitute(
        title=title,
        action=action,
        fields=fields,
        button=button,
        note=note,
        problem=shown,
        script=script,
    )
