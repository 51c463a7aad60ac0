"""Builds the server: Streamlit's app with our routes behind our guard; or refuses to."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import streamlit as st
from starlette.middleware import Middleware
from streamlit import config
from streamlit.runtime.pages_manager import PagesManager
from streamlit.web.server.starlette import starlette_websocket
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from synthstudio.core.errors import StudioError, SynthStudioError
from synthstudio.studio import collecting, sign_in, theme
from synthstudio.studio import settings as options
from synthstudio.studio.context import context
from synthstudio.studio.guard import LOG, Guard, Policy, UserOf, open_log, page_policy
from synthstudio.studio.jobs import scheduler
from synthstudio.studio.routes import routes
from synthstudio.studio.settings import Settings, is_local
from synthstudio.studio.text import log_text
from synthstudio.studio.tokens import derived, load_secret

SCRIPT = Path(__file__).with_name("app.py")


def parts() -> dict[str, Any]:
    """Return what `streamlit.App` is built of, for this process's command line.

    Prints why and ends the process when the studio may not be served so.
    """
    try:
        return build(options.current())
    except SynthStudioError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(1)


def serve(settings: Settings) -> None:
    """Serve until the process is stopped; SynthStudioError when it may not be served so."""
    options.use(settings)
    said = {"server.address": settings.address, "server.port": settings.port, **theme.options()}
    for name, value in said.items():
        config.set_option(name, value)
    app = st.App(SCRIPT, **build(settings))
    sys.stderr.write(f"synthstudio studio: {_shown(settings)} (stop with Ctrl-C)\n")
    app.run(config=said)


def build(settings: Settings) -> dict[str, Any]:
    """Check how the studio is about to be served and return the arguments of `streamlit.App`."""
    own = tuple(Path(name) for name in config.get_option("secrets.files"))
    section = sign_in.auth_section(settings, others=own)
    if section:
        section.setdefault(
            "cookie_secret", derived(load_secret(settings.state), "sign-in cookies").hex()
        )
    # Otherwise Streamlit itself would serve the files of pages/ before anybody gave a name.
    PagesManager.uses_pages_directory = False
    log = open_log(settings.state)
    hosts = _hosts(settings, section)
    _enforce(hosts, signed_in=bool(section))
    ctx = context()
    ctx.signed_in = bool(section)
    user_of = _user_of(str(section.get("redirect_uri", "")))
    policy = Policy(
        signed_in=bool(section),
        hosts=hosts,
        user_of=user_of,
        upload_bytes=settings.limits.upload_bytes,
        page_policy=page_policy(_index_html()),
    )

    @asynccontextmanager
    async def lifespan(_: Any) -> AsyncIterator[None]:
        _enforce(hosts, signed_in=bool(section))  # options may have been read anew since
        LOG.info("started, sign-in %s, log %s", "on" if section else "off", log)
        collecting.keep_short()
        scheduler.start(settings, ctx.store)  # jobs that outlived the last server are found again
        yield

    return {
        "routes": routes(user_of),
        "middleware": [Middleware(Guard, policy=policy, tokens=ctx.tokens)],
        "secrets": {"auth": section} if section else None,
        "lifespan": lifespan,
        "on_script_error": _failed,
    }


def check_address(address: str | None) -> None:
    """Raise StudioError for an address that other machines may reach: nobody would sign in."""
    if not is_local(address):
        raise StudioError(
            "the studio serves this machine only, unless people sign in",
            where="server.address",
            expected="127.0.0.1",
            got=address or "every address",
            then="Say --server.address 127.0.0.1, or set up sign-in: docs/studio_security.md",
        )


def _failed(error: Exception) -> None:
    """Log an error that a page did not catch; the browser is shown its type only."""
    LOG.error("a page failed: %s", log_text(repr(error), longest=500), exc_info=error)


def _enforce(hosts: tuple[str, ...], *, signed_in: bool) -> None:
    """Set what no flag, file or variable may say otherwise; refuse what cannot be set."""
    if not signed_in:
        check_address(config.get_option("server.address"))
    config.set_option("server.allowedHosts", list(hosts))
    for name, value in theme.NEVER.items():
        if config.get_option(name) != value:
            LOG.warning("started with %s=%s: put back", name, config.get_option(name))
            config.set_option(name, value)
    if config.get_option("server.baseUrlPath"):
        raise StudioError(
            "the studio is served at the root of a host",
            where="server.baseUrlPath",
            expected="nothing",
            then="Give it a host name of its own.",
        )
    if config.get_option("server.trustedUserHeaders"):
        raise StudioError(
            "headers do not say who somebody is",
            where="server.trustedUserHeaders",
            expected="nothing",
            then="Set up sign-in instead.",
        )


def _hosts(settings: Settings, section: Mapping[str, Any]) -> tuple[str, ...]:
    back = urlsplit(str(section.get("redirect_uri", ""))).hostname
    return tuple(dict.fromkeys((*settings.hosts, *((back,) if back else ()))))


def _user_of(redirect_uri: str) -> UserOf:
    """Return what tells the signed-in user of cookies, as Streamlit signed them."""
    parts = urlsplit(redirect_uri)
    origin = f"{parts.scheme}://{parts.netloc}"

    def user_of(cookies: Mapping[str, str]) -> str | None:
        raw = starlette_websocket._get_signed_cookie_with_chunks(dict(cookies), USER_COOKIE_NAME)
        if not raw or not redirect_uri:
            return None
        claims = starlette_websocket._parse_decoded_user_cookie(raw, origin)
        if not claims.get("is_logged_in"):
            return None
        try:
            return sign_in.identity(claims)
        except StudioError:
            return None

    return user_of


def _index_html() -> str:
    return (Path(st.__file__).parent / "static" / "index.html").read_text("utf-8")


def _shown(settings: Settings) -> str:
    host = f"[{settings.address}]" if ":" in settings.address else settings.address
    return settings.url or f"http://{host}:{settings.port}"
