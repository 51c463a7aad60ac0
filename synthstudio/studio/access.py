"""Identification of users: browser cookies, the signing key, sign-in by OIDC, typed names."""

import hashlib
import hmac
import json
import os
import secrets
import stat
import threading
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from itsdangerous import BadData, Signer

from synthstudio.core.errors import Refused, StudioError
from synthstudio.core.places import is_local, is_own_name
from synthstudio.dataset.durable import disk_errors, replace_file
from synthstudio.review.team.members import checked_name
from synthstudio.studio.settings import PREFIX, Settings

KEY_NAME = "studio.key"


class Browsers:
    """Signs the cookies that distinguish browsers; thread-safe."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: at least 32 random bytes."""
        self._signer = Signer(derive_key(secret, "browsers"), digest_method=hashlib.sha256)
        self.cookie = f"synthstudio_{derive_key(secret, 'cookie name').hex()[:8]}"
        """The cookie's name; servers on one host have different ones."""
        self.session_cookie = self.cookie.replace("_", "_session_", 1)
        """The session cookie of sign-in by password."""

    def new_cookie(self) -> str:
        return self._signer.sign(secrets.token_urlsafe(18)).decode()

    def name_of(self, cookie: str | None) -> str:
        """Return the name of the browser with this cookie; "" if missing or forged."""
        try:
            value = self._signer.unsign((cookie or "").encode())
        except (BadData, UnicodeError):
            return ""
        return hashlib.sha256(value).hexdigest()[:24]


def derive_key(secret: bytes, purpose: str) -> bytes:
    """Return a 32-byte key for one purpose, from which the secret cannot be derived."""
    return hmac.digest(secret, f"synthstudio {purpose}".encode(), "sha256")


def load_secret(folder: Path) -> bytes:
    """The signing key, of SYNTHSTUDIO_SECRET or a private file made at first start. StudioError."""
    given = os.environ.get("SYNTHSTUDIO_SECRET")
    if given is not None:
        if len(given.encode()) < 32:
            raise StudioError(
                "the signing key is too short",
                where="SYNTHSTUDIO_SECRET",
                expected="32 characters or more",
                then="Make one: openssl rand -hex 32",
            )
        return given.encode()
    path = folder / KEY_NAME
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return bytes.fromhex(read_private_file(path).strip())
        with os.fdopen(descriptor, "w") as file:
            file.write(made := secrets.token_hex(32))
    return bytes.fromhex(made)


def read_private_file(path: Path) -> str:
    """Return the text of a file readable only by its owner, this user; else StudioError."""
    try:
        found = path.stat()
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudioError(f"cannot read this file: {error}", where=str(path)) from error
    open_to_others = stat.S_IMODE(found.st_mode) & 0o177
    if open_to_others or found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode):
        raise StudioError(
            "a file with secrets must be accessible only to its owner",
            where=str(path),
            expected="mode 600, owned by the user who starts the studio",
            got=f"mode {stat.S_IMODE(found.st_mode):o}, owner {found.st_uid}",
            then=f"Run: chmod 600 {path}",
        )
    return text


CALLBACK = "/oauth2callback"
_ENVIRONMENT = {
    "client_id": PREFIX + "OIDC_CLIENT_ID",
    "client_secret": PREFIX + "OIDC_CLIENT_SECRET",
    "server_metadata_url": PREFIX + "OIDC_METADATA_URL",
}
CLAIM = PREFIX + "OIDC_CLAIM"
"""The OIDC claim with a person's name; default: email, which must be verified."""
_NAMES_KEPT = 2000
_MONTH_S = 30 * 24 * 3600


def auth_section(settings: Settings, *, others: tuple[Path, ...]) -> dict[str, Any]:
    """st.login's settings: of the environment, --secrets or `others`; {}: none. StudioError."""
    env = os.environ
    section: dict[str, Any] = {
        key: env[name] for key, name in _ENVIRONMENT.items() if env.get(name)
    }
    files = (settings.secrets,) if settings.secrets else tuple(p for p in others if p.exists())
    for path in files:
        found = _from_file(path)  # also if not needed, to check its permissions
        section = section or found
    if not section:
        return {}
    if settings.url:
        section["redirect_uri"] = settings.url + CALLBACK
    _check(section)
    return section


def check_one_way_in(settings: Settings, section: Mapping[str, Any], address: str | None) -> None:
    """StudioError for two ways to sign in, passwords without an address, or a lone proxy."""
    if settings.behind_proxy and not (settings.accounts or section):
        raise StudioError(
            "a proxy without sign-in",
            where="--behind-proxy",
            expected="--accounts, or OpenID Connect",
            then="Set up sign-in, or remove the proxy: docs/studio_security.md",
        )
    if not settings.accounts:
        return
    if section:
        raise StudioError(
            "two ways to sign in",
            where="--accounts",
            expected="accounts with passwords, or OpenID Connect",
            got="both",
            then="Leave --accounts out, or the settings of OpenID Connect.",
        )
    if (settings.behind_proxy or not is_local(address)) and settings.url is None:
        raise StudioError(
            "missing address of the studio",
            where="--url",
            expected="https://HOST, the public address",
            then="Passwords go through TLS alone: docs/studio_security.md",
        )


def identity(claims: Mapping[str, Any]) -> str:
    """Return the signed-in user's name; StudioError if the provider does not vouch for it."""
    claim = os.environ.get(CLAIM, "email")
    value = claims.get(claim)
    if not isinstance(value, str) or not value:
        raise StudioError(
            "the provider sent no identity",
            where="sign-in",
            expected=f"a claim {claim!r}",
            then=f"Choose another with {CLAIM}.",
        )
    verified = claims.get("email_verified")
    if claim == "email" and verified is not True and verified != "true":
        raise StudioError(
            "the provider has not verified this e-mail address",
            where="sign-in",
            expected="email_verified: true",
            then=f"Choose another claim with {CLAIM}.",
        )
    if checked_name(value) != value:  # normalized it may be another person's
        raise StudioError(
            "the identity is not normalized",
            where="sign-in",
            expected="Unicode NFKC without surrounding spaces",
            got=ascii(value),
            then=f"Choose another claim with {CLAIM}.",
        )
    return value


def local_key(secret: bytes) -> str:
    """Return the key that, without sign-in, proves access to the server's output."""
    return derive_key(secret, "local key").hex()[:32]


class BrowserNames:
    """The names typed by users of this machine, by browser; kept over restarts."""

    def __init__(self, folder: Path, file: str = "studio-names.json") -> None:
        self._path = folder / file
        self._lock = threading.Lock()
        self._names: dict[str, str] | None = None

    def get(self, browser: str) -> str | None:
        with self._lock:
            return self._read().get(_browser_digest(browser)) if browser else None

    def put(self, browser: str, name: str) -> None:
        """Store a checked name; ignored without a browser (no cookie)."""
        if not browser:
            return
        with self._lock:
            names = self._read()
            names.pop(_browser_digest(browser), None)
            names[_browser_digest(browser)] = name
            while len(names) > _NAMES_KEPT:
                del names[next(iter(names))]
            replace_file(self._path, json.dumps(names).encode(), private=True)

    def drop(self, browser: str) -> None:
        with self._lock:
            if self._read().pop(_browser_digest(browser), None) is not None:
                replace_file(self._path, json.dumps(self._names).encode(), private=True)

    def _read(self) -> dict[str, str]:
        if self._names is None:
            try:
                found = json.loads(self._path.read_text("utf-8"))
                self._names = {str(k): checked_name(str(v)) for k, v in found.items()}
            except (OSError, ValueError, AttributeError, Refused):
                self._names = {}  # the names are only a convenience
        return self._names


class SignIns(BrowserNames):
    """Users signed in by OpenID Connect, by the cookie with which a page was opened.

    Streamlit checks that cookie for pages only. An entry is valid for 30 to 60 days after a page.
    """

    secret = ""
    """Streamlit's signing key for those cookies: a change signs everybody out."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "studio-sign-ins.json")
        self._ended = BrowserNames(folder, "studio-sign-outs.json")

    def of(self, cookies: Mapping[str, str]) -> str | None:
        return next(filter(None, map(self.get, self._keys(cookies))), None)

    def note(self, cookies: Mapping[str, str], name: str) -> None:
        for key in self._keys(cookies)[:1]:
            if self.get(key) != name:
                self.put(key, name)

    def forget(self, cookies: Mapping[str, str]) -> None:
        if self.of(cookies) is not None:  # else strangers could fill the list
            for key in self._keys(cookies):
                self.drop(key)
            self._ended.put(_signed_part(cookies), "ended")

    def has_ended(self, cookies: Mapping[str, str]) -> bool:
        """Whether a cookie, of which Streamlit accepts copies, was signed out."""
        return self._ended.get(_signed_part(cookies)) is not None

    def _keys(self, cookies: Mapping[str, str]) -> list[str]:
        if self.has_ended(cookies):
            return []
        parts = sorted(name for name in cookies if name.startswith("_streamlit_user"))
        text = "; ".join(f"{name}={cookies[name]}" for name in parts)
        month = int(time.time() // _MONTH_S)
        return [f"{self.secret} {text} {month - k}" for k in (0, 1)] if text else []


def _signed_part(cookies: Mapping[str, str]) -> str:
    """The cookie without its signature, whose last letter can be written in several ways."""
    return cookies.get("_streamlit_user", "").rpartition(".")[0]


def _browser_digest(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()[:24]


def _from_file(path: Path) -> dict[str, Any]:
    try:
        section = tomllib.loads(read_private_file(path)).get("auth", {})
    except tomllib.TOMLDecodeError as error:
        raise StudioError(f"invalid TOML: {error}", where=str(path)) from error
    return dict(section) if isinstance(section, dict) else {}


def _check(section: Mapping[str, Any]) -> None:
    required = (*_ENVIRONMENT, "redirect_uri")
    missing = [key for key in required if not isinstance(section.get(key), str) or not section[key]]
    if missing:
        raise StudioError(
            "sign-in is set up incompletely",
            where="[auth]",
            expected=", ".join(required),
            got=f"no {', '.join(missing)}",
            then=f"Set {', '.join(_ENVIRONMENT.values())} and --url, or all of [auth].",
        )
    for key in ("server_metadata_url", "redirect_uri"):
        parts = urlsplit(section[key])
        alone = is_own_name if key == "redirect_uri" else is_local
        if parts.scheme != "https" and not (parts.scheme == "http" and alone(parts.hostname)):
            raise StudioError(
                "sign-in needs https",
                where=key,
                got=section[key],
                then="Cookies of 127.0.0.1 reach every port of this machine. To try it here use "
                "--url http://NAME.localhost:PORT with 20 or more random letters as NAME.",
            )
    if not section["redirect_uri"].endswith(CALLBACK):
        raise StudioError(
            "wrong redirect address",
            where="redirect_uri",
            expected=f"an address that ends in {CALLBACK}",
            got=section["redirect_uri"],
        )
