"""Who is there: people who signed in by OIDC, or on this machine a name that was asked for."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from synthstudio.core.errors import StudioError
from synthstudio.dataset.durable import replace_file
from synthstudio.studio.settings import PREFIX, Settings, is_local
from synthstudio.studio.text import checked_name
from synthstudio.studio.tokens import private_text

CALLBACK = "/oauth2callback"
_ENVIRONMENT = {
    "client_id": PREFIX + "OIDC_CLIENT_ID",
    "client_secret": PREFIX + "OIDC_CLIENT_SECRET",
    "server_metadata_url": PREFIX + "OIDC_METADATA_URL",
}
CLAIM = PREFIX + "OIDC_CLAIM"
"""Which claim of the provider names a person; default: email, which it must have verified."""
_NAMES_KEPT = 2000


def auth_section(
    settings: Settings,
    environment: Mapping[str, str] | None = None,
    *,
    others: tuple[Path, ...] = (),
) -> dict[str, Any]:
    """Return what st.login needs, {} when sign-in is not set up.

    It comes from the environment, else from the file --secrets, else from one of `others`
    (Streamlit's own places). StudioError when only part of it is there, when others may read a
    file, or when the provider is not reached by https.
    """
    env = os.environ if environment is None else environment
    section: dict[str, Any] = {
        key: env[name] for key, name in _ENVIRONMENT.items() if env.get(name)
    }
    files = (settings.secrets,) if settings.secrets else tuple(p for p in others if p.exists())
    for path in files:
        found = _from_file(path)  # also where it is not needed: nobody else may read it
        section = section or found
    if not section:
        return {}
    if settings.url:
        section["redirect_uri"] = settings.url + CALLBACK
    _check(section)
    return section


def is_signed_in(section: Mapping[str, Any]) -> bool:
    """Tell whether people have to sign in."""
    return bool(section)


def identity(claims: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> str:
    """Return the name of who signed in; StudioError when the provider does not vouch for it."""
    env = os.environ if environment is None else environment
    claim = env.get(CLAIM, "email")
    value = claims.get(claim)
    if not isinstance(value, str) or not value:
        raise StudioError(
            "the provider does not say who this is",
            where="sign-in",
            expected=f"a claim {claim!r}",
            then=f"Choose another with {CLAIM}.",
        )
    if claim == "email" and claims.get("email_verified") not in (True, "true"):
        raise StudioError(
            "the provider has not verified this e-mail address",
            where="sign-in",
            expected="email_verified: true",
            then=f"Choose another claim with {CLAIM}.",
        )
    return checked_name(value)


class Names:
    """The names that people of this machine gave, by browser; kept over restarts."""

    def __init__(self, folder: Path) -> None:
        """Remember in `folder`."""
        self._path = folder / "studio-names.json"
        self._lock = threading.Lock()
        self._names: dict[str, str] | None = None

    def get(self, browser: str) -> str | None:
        """Return the name given at this browser, None when there is none."""
        with self._lock:
            return self._read().get(_short(browser)) if browser else None

    def put(self, browser: str, name: str) -> None:
        """Remember a checked name; without a browser (no cookie) nothing can be remembered."""
        if not browser:
            return
        with self._lock:
            names = self._read()
            names.pop(_short(browser), None)
            names[_short(browser)] = name
            while len(names) > _NAMES_KEPT:
                del names[next(iter(names))]
            replace_file(self._path, json.dumps(names).encode())

    def drop(self, browser: str) -> None:
        """Forget the name given at this browser."""
        with self._lock:
            if self._read().pop(_short(browser), None) is not None:
                replace_file(self._path, json.dumps(self._names).encode())

    def _read(self) -> dict[str, str]:
        if self._names is None:
            try:
                found = json.loads(self._path.read_text("utf-8"))
                self._names = {str(k): checked_name(str(v)) for k, v in found.items()}
            except (OSError, ValueError, AttributeError, StudioError):
                self._names = {}  # only a comfort: people are asked again
        return self._names


def _short(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()[:24]


def _from_file(path: Path) -> dict[str, Any]:
    try:
        section = tomllib.loads(private_text(path)).get("auth", {})
    except tomllib.TOMLDecodeError as error:
        raise StudioError(f"this is no TOML: {error}", where=str(path)) from error
    return dict(section) if isinstance(section, dict) else {}


def _check(section: Mapping[str, Any]) -> None:
    wanted = (*_ENVIRONMENT, "redirect_uri")
    missing = [key for key in wanted if not isinstance(section.get(key), str) or not section[key]]
    if missing:
        raise StudioError(
            "sign-in is set up in part",
            where="[auth]",
            expected=", ".join(wanted),
            got=f"no {', '.join(missing)}",
            then=f"Set {', '.join(_ENVIRONMENT.values())} and --url, or all of [auth].",
        )
    for key in ("server_metadata_url", "redirect_uri"):
        parts = urlsplit(section[key])
        if parts.scheme != "https" and not (parts.scheme == "http" and is_local(parts.hostname)):
            raise StudioError(
                "sign-in needs https",
                where=key,
                got=section[key],
                then="Only an address of this machine may go without.",
            )
    if not section["redirect_uri"].endswith(CALLBACK):
        raise StudioError(
            "people would not come back here",
            where="redirect_uri",
            expected=f"an address that ends in {CALLBACK}",
            got=section["redirect_uri"],
        )
