"""The server: Streamlit's app with our routes behind our guard; refuses unsafe configurations."""

import functools
import gc
import html
import os
import resource
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import streamlit as st
from anyio import CapacityLimiter, to_thread
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from streamlit import config

from synthstudio import __version__
from synthstudio.core.errors import StudioError, SynthStudioError
from synthstudio.core.places import is_local
from synthstudio.review.team.accounts import accounts
from synthstudio.review.values import may
from synthstudio.review.webhooks import deliver_due
from synthstudio.studio import access
from synthstudio.studio import settings as options
from synthstudio.studio.access import derive_key, load_secret
from synthstudio.studio.context import context
from synthstudio.studio.guard import (
    LOG,
    Asgi,
    Guard,
    Policy,
    Receive,
    Scope,
    Send,
    UserOf,
    log_text,
    open_log,
)
from synthstudio.studio.jobs import job_store
from synthstudio.studio.page_parts import EDITOR_SCRIPTS
from synthstudio.studio.settings import Settings
from synthstudio.studio.sign_in import SessionMiddleware, account_of, sign_in_routes
from synthstudio.studio.web_api import calls, editor, reads, writes
from synthstudio.studio.web_api.calls import BASE

_DELIVERY_INTERVAL_S, _DELIVERERS = 2.0, 4
"""Threads: while one waits for a slow webhook, which it has claimed, others deliver the rest."""
_UNCACHED = {"Cache-Control": "no-store"}


class _Scripts(StaticFiles):
    """Modules that browsers must revalidate, so that two releases are never mixed."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def routes(user_of: UserOf) -> list[BaseRoute]:
    return [
        _health_route(),
        *sign_in_routes(),
        Mount(EDITOR_SCRIPTS, app=_Scripts(directory=Path(__file__).parent / "editor" / "js")),
        *api_routes(user_of),
    ]


def _health_route() -> Route:
    own = CapacityLimiter(2)  # threads apart from those of other requests

    async def health(_: Request) -> Response:
        try:
            await to_thread.run_sync(lambda: context().store.check(), limiter=own)
            return JSONResponse({"status": "ok"}, headers=_UNCACHED)
        except SynthStudioError:
            return JSONResponse({"status": "no store"}, status_code=503, headers=_UNCACHED)

    return Route("/healthz", health, methods=["GET"])


def api_routes(user_of: UserOf) -> list[BaseRoute]:
    async def nothing(_: Request) -> Response:
        return calls.error_response(404, "gone", f"no such operation; see {BASE}/docs")

    every = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    return [Mount(BASE, app=api_app(user_of)), Route("/api{rest:path}", nothing, methods=every)]


def api_app(user_of: UserOf) -> FastAPI:
    app = FastAPI(
        title="synthstudio review",
        version=__version__,
        docs_url=None,  # its page loads scripts from another host
        redoc_url=None,
        dependencies=[Depends(calls.check_query), Depends(HTTPBearer(auto_error=False))],
    )
    app.state.editors = editor.Editors()
    for router in (reads.router, writes.router, editor.router):
        app.include_router(router)
    app.add_route("/docs", _docs)
    app.add_middleware(calls.Authenticator, user_of=user_of)
    for kind in (SynthStudioError, RequestValidationError, HTTPException):
        app.add_exception_handler(kind, calls.failed)
    return app


async def _docs(request: Request) -> Response:
    """The operations as a page without scripts; /api/v1/openapi.json has all of them."""
    rows = "".join(
        f"<tr><td>{method.upper()}</td><td><code>{html.escape(BASE + path)}</code></td>"
        f"<td>{html.escape(one.get('description', ''))}</td></tr>"
        for path, some in request.app.openapi()["paths"].items()
        for method, one in some.items()
    )
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8><title>synthstudio: API</title>"
        f"<h1>Studio API</h1><p>For tools: <a href={BASE}/openapi.json>openapi.json</a></p>"
        f"<table>{rows}</table></html>"
    )


SCRIPT = Path(__file__).with_name("app.py")
_HOST_CONFIG = {
    "allowedOrigins": [],
    "useExternalAuthToken": False,
    "enableCustomParentMessages": False,
    "enforceDownloadInNewTab": False,
    "metricsUrl": "",
    "blockErrorDialogs": True,
    "resourceCrossOriginMode": None,
}


_ROOT = "the studio is served at the root of a host"
_REFUSED = (
    ("server.baseUrlPath", _ROOT, "Use a separate host name."),
    ("server.trustedUserHeaders", "headers must not identify users", "Set up sign-in instead."),
)


class HostConfig:
    """ASGI middleware: keeps Streamlit's connection message off the editor, which shows its own,
    and its key handlers away from it."""

    def __init__(self, app: Asgi) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_config = scope["type"] == "http" and scope["path"] == "/_stcore/host-config"
        app: Asgi = JSONResponse(_HOST_CONFIG, headers=_UNCACHED) if is_config else self.app
        await app(scope, receive, send)


def parts(read: Callable[[], Settings]) -> dict[str, Any]:
    """`streamlit.App`'s arguments; prints a refusal of the configuration and ends the process."""
    try:
        options.use(settings := read())
        return build(settings)
    except SynthStudioError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def serve(settings: Settings) -> None:
    """Serve until the process is stopped; SynthStudioError if the configuration is refused."""
    options.use(settings)
    flags = options.streamlit_options()
    flags |= {"server.address": settings.address, "server.port": settings.port}
    for name, value in flags.items():
        config.set_option(name, value)
    app = st.App(SCRIPT, **build(settings))
    sys.stderr.write(f"synthstudio studio: {_address_text(settings)} (stop with Ctrl-C)\n")
    app.run(config=flags)


def build(settings: Settings) -> dict[str, Any]:
    own = tuple(Path(name) for name in config.get_option("secrets.files"))
    section = access.auth_section(settings, others=own)
    if section:
        section.setdefault(
            "cookie_secret", derive_key(load_secret(settings.state), "sign-in cookies").hex()
        )
    access.check_one_way_in(settings, section, config.get_option("server.address"))
    signed_in = bool(section) or settings.accounts
    log = open_log(settings.state)
    back = str(section.get("redirect_uri", ""))
    elsewhere = urlsplit(back).hostname
    hosts = tuple(dict.fromkeys((*settings.hosts, *((elsewhere,) if elsewhere else ()))))
    allowed = hosts if section else (*hosts, "*.localhost")
    _enforce(allowed, signed_in=signed_in)
    ctx = context()
    ctx.signed_in, ctx.with_accounts = signed_in, settings.accounts
    ctx.sign_ins.secret = str(section.get("cookie_secret", ""))
    user_of = account_of(ctx) if settings.accounts else ctx.sign_ins.of
    policy = Policy(
        signed_in=signed_in,
        hosts=hosts,
        user_of=user_of,
        sign_out=ctx.sign_ins.forget,
        may_upload=lambda user: may(ctx.role_of(user, "") or "viewer", "edit"),
        upload_bytes=settings.limits.upload_bytes,
        message_bytes=settings.limits.message_bytes,
        address=settings.url or back,
        accounts=settings.accounts,
        behind_proxy=settings.behind_proxy,
        own_names=not section,
    )

    watch = [Middleware(SessionMiddleware, user_of=user_of)] if settings.accounts else []

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        _enforce(allowed, signed_in=signed_in)  # options may have been reread since
        send_at_once()
        raise_file_limit()
        LOG.info("started, sign-in %s, log %s", "on" if signed_in else "off", log)
        if settings.accounts and not accounts(ctx.store):
            sys.stderr.write(
                "There is no account yet. Make a link for the first: synthstudio review invite "
                f"NAME --role admin --db '{ctx.store.url}'\n"
            )
        if not signed_in:
            url = f"http://{options.LOCAL}:{config.get_option('server.port')}/?key={ctx.local_key}"
            sys.stderr.write(f"Open {url} once: without its key you are a viewer.\n")
        gc.collect()  # a full collection of the imports alone takes 0.15 s, not during a request:
        gc.freeze()  # later collections skip them
        deliver = functools.partial(deliver_due, ctx.store, transport=ctx.webhook_transport)
        for number in range(_DELIVERERS):
            name = f"webhooks {number}"
            job_store.repeat(ctx.store, name, deliver, every_s=_DELIVERY_INTERVAL_S)
        job_store.start(settings, ctx.store)  # finds jobs that survived the last server
        yield

    return {
        "routes": routes(user_of),
        "middleware": [
            Middleware(Guard, policy=policy, browsers=ctx.browsers),
            *watch,
            Middleware(HostConfig),
        ],
        "secrets": {"auth": section} if section else None,
        "lifespan": lifespan,
        "on_script_error": _log_page_error,
    }


def raise_file_limit() -> None:
    """Raise the limit of open files, and so of connections, as far as the system allows."""
    with suppress(OSError, ValueError):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def send_at_once() -> None:
    """Set TCP_NODELAY on listening sockets, whose connections inherit it.

    asyncio sets it only where the protocol of a socket is given, which Streamlit's is not. Without
    it the body of an answer waits up to 40 ms until its header is acknowledged.
    """
    with suppress(psutil.Error, OSError):  # systems that do not list sockets only answer later
        for found in psutil.Process().net_connections("tcp"):
            if found.status == psutil.CONN_LISTEN:
                with socket.socket(fileno=os.dup(found.fd)) as listening:
                    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _log_page_error(error: Exception) -> None:
    """Log an uncaught error of a page; the browser is shown only its type."""
    LOG.error("a page failed: %s", log_text(repr(error), longest=500), exc_info=error)


def _enforce(hosts: tuple[str, ...], *, signed_in: bool) -> None:
    """Set options that nothing may override; refuse those that cannot be set."""
    if not signed_in:
        address = config.get_option("server.address")
        if not is_local(address):  # reachable by other machines without sign-in
            raise StudioError(
                "without sign-in the studio serves this machine only",
                where="server.address",
                expected="127.0.0.1",
                got=address or "every address",
                then="Use --server.address 127.0.0.1, or set up sign-in: docs/studio_security.md",
            )
    config.set_option("server.allowedHosts", list(hosts))
    for name, value in options.ENFORCED.items():
        if config.get_option(name) != value:
            LOG.warning("started with %s=%s: put back", name, config.get_option(name))
            config.set_option(name, value)
    for name, what, then in _REFUSED:
        if config.get_option(name):
            raise StudioError(what, where=name, expected="nothing", then=then)


def _address_text(settings: Settings) -> str:
    host = f"[{settings.address}]" if ":" in settings.address else settings.address
    return settings.url or f"http://{host}:{settings.port}"
