"""The outermost layer of the server: checks of client, host, origin and size.

It handles every request and websocket before Streamlit does. Refused ones are answered with 403,
413 or 503, logged, and not passed on.
"""

import logging
import logging.handlers
import re
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from synthstudio.core.errors import SynthStudioError
from synthstudio.core.last_used import LastUsed
from synthstudio.core.places import is_local, is_own_name
from synthstudio.dataset.durable import disk_errors
from synthstudio.review.team.sessions import PATTERN, hide_secrets
from synthstudio.studio.access import CALLBACK, Browsers

_PAGE_POLICY = (
    b"default-src 'self'; script-src 'self' blob: 'unsafe-eval'; "
    b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    b"connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
    b"base-uri 'self'; frame-ancestors 'none'; form-action 'self'"
)
"""This server only. Components are loaded as `blob:` modules; charts compile expressions, hence
'unsafe-eval'. Streamlit's one inline script, for crawlers, does not run."""
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]
UserOf = Callable[[Mapping[str, str]], str | None]
"""Returns the signed-in user of a request's cookies, or None; may raise SynthStudioError."""

LOG = logging.getLogger("synthstudio.studio.guard")
_ROLES = logging.getLogger("synthstudio.review.roles")
BUSY_SESSION = "a session that cannot be looked up"
LOG_NAME = "studio-guard.log"
_KEPT = 4_096
_LOG_BYTES, _LOG_FILES = 5 * 2**20, 4
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip")
_UNREPEATABLE = (
    b"host",
    b"origin",
    b"content-length",
    b"cookie",
    b"sec-fetch-site",
    b"authorization",
)
_CONDITIONAL = (b"if-none-match", b"if-modified-since")
"""Headers of conditional requests (RFC 9110, section 13.1). They are ignored without our cookie
(it ends with the browser, the cache does not): the answer "not modified" would set no
cookie."""
_BY_TLS = ("https", "wss")
_SAFE = ("GET", "HEAD", "OPTIONS")
_MAX_OPEN = 2_000
"""Requests and websockets at a time."""
_UPLOAD = "/_stcore/upload_file/"
_UPLOADS_AN_HOUR = 2 * 2**30
"""Bytes of one user: two and a half of the largest imports."""
_BLOCKED_PATHS = ("/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/agent")
_API = "/api/"
"""Changes something only with a header that other sites cannot make a browser send: a token, or
the user name sent by our pages (web_api/calls.py). So it needs no Origin."""
_HEALTH = "/healthz"
_WAY_IN = "/way-in.js"
_WAY_IN_FILE = Path(__file__).with_name("way_in.js")
_WAY_IN_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_WAY_IN_PAGE = Path(__file__).with_name("way_in.html")
_BROWSER_PATHS = ("/media/", _UPLOAD)
"""Paths for which Streamlit checks no identity."""
_SIGN_OUT = "/auth/logout"
_OWN_PAGES_ONLY = (*_BROWSER_PATHS, _API, _SIGN_OUT)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Configuration of the guard. `signed_in`: with sign-in, other machines are allowed.

    `hosts`: names without ports. `user_of`: the signed-in user of a request's cookies; `sign_out`
    ends that sign-in. `may_upload`: whether a page of this user has an upload.
    `address`: the public one, "" for none; `accounts`: sign-in by passwords;
    `behind_proxy`: a proxy reports client address and scheme.
    """

    signed_in: bool
    hosts: tuple[str, ...]
    upload_bytes: int
    message_bytes: int
    user_of: UserOf
    may_upload: Callable[[str], bool] = bool
    sign_out: Callable[[Mapping[str, str]], object] = bool
    address: str = ""
    accounts: bool = False
    behind_proxy: bool = False
    own_names: bool = False
    """Whether each browser uses its own host name (NAME.localhost), unknown to other ports."""


class _PrivateLog(logging.handlers.RotatingFileHandler):
    """A log readable only by its owner, also after rotation."""

    def _open(self) -> Any:
        path = Path(self.baseFilename)
        path.touch(mode=0o600)
        path.chmod(0o600)
        return super()._open()


def open_log(folder: Path) -> Path:
    """Also write refusals to a file in `folder`, at most 25 MB of them; return its path."""
    path = folder / LOG_NAME
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        handler = _PrivateLog(path, maxBytes=_LOG_BYTES, backupCount=_LOG_FILES, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for logger in (LOG, _ROLES):
        for old in list(logger.handlers):
            logger.removeHandler(old)
            old.close()
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    return path


def log_refusal(reason: str, **fields: object) -> None:
    text = " ".join(f"{name}={log_text(value)!r}" for name, value in fields.items())
    LOG.warning("refused %s %s", reason, text)


def log_text(value: object, *, longest: int = 200) -> str:
    """Return text for one line of a log: ASCII, no control characters, no token, truncated."""
    text = hide_secrets(ascii(str(value))[1:-1])
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


class Buckets:
    """Rate limiters by name, recent ones cached; thread-safe."""

    def __init__(
        self, burst: float, per_s: float, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        """`burst` requests at once, then `per_s` a second."""
        self._burst, self._per_s, self._now = burst, per_s, now
        self._lock = threading.Lock()
        self._left: LastUsed[str, tuple[float, float]] = LastUsed(_KEPT)

    def take(self, name: str, count: float = 1.0) -> float:
        """Take some; return 0, or the seconds until there are so many."""
        now = self._now()
        with self._lock:
            left, at = self._left.get(name) or (self._burst, now)
            left = min(left + (now - at) * self._per_s, self._burst)
            wait_s = max(0.0, count - left) / self._per_s
            self._left.put(name, (left if wait_s else left - count, now))
        return wait_s


class Guard:
    installed = False
    """Whether there is one in this process."""

    def __init__(self, app: Asgi, *, policy: Policy, browsers: Browsers) -> None:
        self.app, self.policy, self.browsers = app, policy, browsers
        self._open = 0
        self._uploads = Buckets(_UPLOADS_AN_HOUR, _UPLOADS_AN_HOUR / 3600)
        Guard.installed = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        if self._open >= _MAX_OPEN:
            await refuse_busy(scope, send, "", "one of too many open requests")
            return
        self._open += 1
        try:
            await self._checked(scope, receive, send)
        finally:
            self._open -= 1

    async def _checked(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = header_map(scope)
        shared = self._is_shared(scope, headers)
        if shared:
            scope = {**scope, "headers": [h for h in scope["headers"] if h[0].lower() != b"cookie"]}
            headers = header_map(scope)
        browser = self.browsers.name_of(cookies(headers).get(self.browsers.cookie))
        why = self._host_error(scope, headers) or self._origin_error(scope, headers)
        why = why or self._path_error(scope, browser)
        if shared and not why and not _path(scope).startswith((_API, _HEALTH)):
            page = self._way_in(scope, headers)
            if page is not None:
                await page(scope, receive, send)
                return
            why = "a host name whose cookies are sent to other ports"
        try:
            why = why or await self._sign_in_error(scope, headers)
        except SynthStudioError as error:
            await refuse_busy(scope, send, error)
            return
        if why:
            _log_request(why, scope, headers)
            await _refuse(scope, send, 403)
            return
        length = headers.get("content-length", "0")
        limit = self.policy.upload_bytes if _path(scope).startswith(_UPLOAD) else 0
        limit = self.policy.message_bytes if _path(scope).startswith(_API) else limit
        if not length.isdecimal() or int(length) > limit + 2**16:
            _log_request("a body that is too large", scope, headers, length=length)
            await _refuse(scope, send, 413)
            return
        if _path(scope) == _SIGN_OUT:
            await run_in_threadpool(self.policy.sign_out, cookies(headers))
        if not browser:
            scope = {**scope, "headers": [h for h in scope["headers"] if h[0] not in _CONDITIONAL]}
        new = not browser and not shared
        await self.app(scope, receive, self._wrap_send(scope, headers, send, new=new))

    def _is_shared(self, scope: Scope, headers: Mapping[str, str]) -> bool:
        """Whether browsers send this name's cookies to all ports, as they do without TLS."""
        host = _hostname(headers.get("host", ""))
        return "http" in self._page_schemes(scope, headers) and not is_own_name(host)

    def _way_in(self, scope: Scope, headers: Mapping[str, str]) -> Response | None:
        """A redirect to a browser's own host name; None if not a page visit."""
        if not self.policy.own_names or scope["type"] != "http" or scope["method"] != "GET":
            return None
        if _path(scope) == _WAY_IN:
            return FileResponse(_WAY_IN_FILE, media_type="text/javascript", headers=_WAY_IN_HEADERS)
        if "text/html" in headers.get("accept", ""):
            return FileResponse(_WAY_IN_PAGE, media_type="text/html", headers=_WAY_IN_HEADERS)
        return None

    def _host_error(self, scope: Scope, headers: Mapping[str, str]) -> str:
        names = [name.lower() for name, _ in scope["headers"]]
        if any(names.count(name) > 1 for name in _UNREPEATABLE):
            return "a repeated header"
        host = _hostname(headers.get("host", ""))
        if host not in self.policy.hosts and not (self.policy.own_names and is_own_name(host)):
            return "a foreign host"
        sender = str((scope.get("client") or ("",))[0])
        if self.policy.accounts:
            return self._way_error(scope, headers, sender=sender, local=is_local(host))
        if self.policy.signed_in:
            return ""
        if not is_local((scope.get("server") or ("",))[0]):
            return "another address than this machine's, without sign-in"
        if not is_local(sender):
            return "another machine, without sign-in"
        if any(name in headers for name in _FORWARDED):
            return "a forwarded request, without sign-in"
        return ""

    def _way_error(
        self, scope: Scope, headers: Mapping[str, str], *, sender: str, local: bool
    ) -> str:
        """Why passwords are refused on this connection; else "". `local`: a local name.

        Servers trust a proxy's headers from this machine, whoever sends them: tries are counted by
        address, so without a proxy there must be none, and with one all.
        """
        proxied = self.policy.behind_proxy
        if not proxied and any(name in headers for name in _FORWARDED):
            return "a forwarded request, without --behind-proxy"
        if proxied and not local and not {"x-forwarded-for", "x-forwarded-proto"} <= {*headers}:
            return "a request without X-Forwarded-For and X-Forwarded-Proto, with --behind-proxy"
        if proxied and sender not in headers.get("x-forwarded-for", sender):
            return "an untrusted proxy (FORWARDED_ALLOW_IPS)"
        if scope["scheme"] not in _BY_TLS and not (local and is_local(sender)):
            return "a request without TLS"
        return ""

    def _origin_error(self, scope: Scope, headers: Mapping[str, str]) -> str:
        origin = headers.get("origin")
        changes = scope["type"] == "websocket" or scope["method"] not in _SAFE
        if changes and not origin and not _path(scope).startswith(_API):
            return "no origin"
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return "a foreign origin"
        if origin is not None and urlsplit(origin).scheme not in self._page_schemes(scope, headers):
            return "an origin without TLS"
        site = headers.get("sec-fetch-site", "none")
        if site not in ("same-origin", "none") and _path(scope).startswith(_OWN_PAGES_ONLY):
            return "a request by another site's page"
        return ""

    def _page_schemes(self, scope: Scope, headers: Mapping[str, str]) -> tuple[str, ...]:
        """Our pages' scheme; a proxy need not report TLS."""
        address = urlsplit(self.policy.address)
        known = address.scheme == "https" and _hostname(headers.get("host", "")) == address.hostname
        return ("https",) if known or scope["scheme"] in _BY_TLS else ("http", "https")

    def _path_error(self, scope: Scope, browser: str) -> str:
        path = _path(scope)
        query = unquote_plus(scope.get("query_string", b"").decode("latin-1"))
        if PATTERN.search(path) or PATTERN.search(unquote_plus(query)):
            return "a token or code in an address"
        if path.startswith(_BLOCKED_PATHS):
            return "a closed path"
        if path.startswith(_BROWSER_PATHS) and not browser:
            return "a browser that did not open the studio"
        return ""

    async def _sign_in_error(self, scope: Scope, headers: Mapping[str, str]) -> str:
        if not self.policy.signed_in or not _path(scope).startswith(_BROWSER_PATHS):
            return ""
        user = await run_in_threadpool(self.policy.user_of, cookies(headers))
        if user is None:
            return "a file without sign-in"
        if not _path(scope).startswith(_UPLOAD) or scope["method"] not in ("PUT", "POST"):
            return ""
        if not await run_in_threadpool(self.policy.may_upload, user):
            return "an upload by a role whose pages have none"
        length = headers.get("content-length", "")
        size = int(length) if length.isdecimal() else self.policy.upload_bytes
        wait_s = self._uploads.take(user, size)
        return "more uploads of a user than in an hour" if wait_s else ""

    def _wrap_send(
        self, scope: Scope, headers: Mapping[str, str], send: Send, *, new: bool
    ) -> Send:
        secure = "http" not in self._page_schemes(scope, headers)

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._add_headers(message, new=new, secure=secure)
                if message["status"] in (400, 403, 405, 413):
                    _log_request(f"with {message['status']}", scope, headers)
                elif _path(scope) == CALLBACK and not _signs_in(message):
                    _log_request("a sign-in", scope, headers)
            elif message["type"] == "websocket.close" and message.get("code") in (1002, 1008, 1009):
                _log_request(f"websocket closed with {message['code']}", scope, headers)
            await send(message)

        return watched

    def _add_headers(self, message: Message, *, new: bool, secure: bool) -> None:
        if secure:  # Streamlit omits it, and http on another port would get the cookie
            message["headers"] = [*map(_secure_cookie, message.get("headers", ()))]
        found = {name.lower(): value for name, value in message.get("headers", ())}
        extra = [(name, value) for name, value in _HEADERS if name not in found]
        if found.get(b"content-type", b"").startswith(b"text/html"):
            extra.append((b"content-security-policy", _PAGE_POLICY))
            if new and message["status"] == 200:
                value = f"{self.browsers.cookie}={self.browsers.new_cookie()}; Path=/; HttpOnly"
                value += "; SameSite=Lax" + ("; Secure" if secure else "")
                extra.append((b"set-cookie", value.encode()))
        message["headers"] = [*message.get("headers", ()), *extra]


def _secure_cookie(header: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
    name, value = header
    plain = name.lower() == b"set-cookie" and b"; secure" not in value.lower()
    return (name, value + b"; Secure") if plain else header


def header_map(scope: Scope) -> dict[str, str]:
    """Return the request's headers by lower-case name; the last of repeated ones."""
    return {k.decode("latin-1").lower(): v.decode("latin-1") for k, v in scope["headers"]}


def cookies(headers: Mapping[str, str]) -> dict[str, str]:
    pairs = (part.split("=", 1) for part in headers.get("cookie", "").split(";") if "=" in part)
    return {name.strip(): value.strip().strip('"') for name, value in pairs}


def _hostname(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        plain = not (parts.username or parts.password or parts.path or parts.query)
        _ = parts.port  # ValueError if invalid
        return (parts.hostname or "") if plain and "@" not in host else ""
    except ValueError:
        return ""


def _path(scope: Scope) -> str:
    return re.sub("/+", "/", str(scope["path"]))


def _signs_in(message: Message) -> bool:
    values = [v for name, v in message.get("headers", ()) if name.lower() == b"set-cookie"]
    return any(re.match(rb'_streamlit_user="?[^";]', value) for value in values)


def _log_request(reason: str, scope: Scope, headers: Mapping[str, str], **more: object) -> None:
    sent = {name: headers.get(name, "") for name in ("host", "origin")}
    sent["from"] = (scope.get("client") or ("?",))[0]
    method, path = scope.get("method", "WEBSOCKET"), scope["path"]
    log_refusal(reason, **more, method=method, path=path, **sent)


async def refuse_busy(scope: Scope, send: Send, why: object, what: str = BUSY_SESSION) -> None:
    """Postpone a request or websocket, as while its session cannot be looked up."""
    _log_request(what, scope, header_map(scope), why=why)
    await _refuse(scope, send, 503)


async def _refuse(scope: Scope, send: Send, status: int) -> None:
    """Refuse; a websocket closed before it is accepted is answered with 403."""
    busy = status == 503
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1013 if busy else 1008})
        return
    body = b"try again in a moment\n" if busy else b"refused\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body)), *_HEADERS]
    headers += [(b"retry-after", b"5"), (b"cache-control", b"no-store")] if busy else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
