"""Signed, short-lived names of pictures and files: what a browser may fetch, and for whom.

A token says kind, data set, user and browser; whoever holds it and is another user, or sits at
another browser, gets nothing. Expiry is quantised and a URL is handed out again while it has a
quarter of an hour left, so that the browser's own cache answers most requests.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from itsdangerous import BadData, Signer, URLSafeSerializer

from synthstudio.core.errors import StudioError
from synthstudio.dataset.durable import disk_errors

Kind = Literal["image", "clean", "crop", "mask", "amodal", "depth", "download"]
LIFETIME_S = 3600
STEP_S = 900
"""Expiry is a multiple of it, and a URL does not change while it has as long to go."""
KEY_NAME = "studio.key"
MAX_CHARS = 2048
_KEPT = 20_000


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a token allows. `size`: longest side of a crop, px; `revision`: of its labels."""

    kind: Kind
    dataset: str = ""
    user: str
    browser: str
    frame: int = 0
    instance: int = 0
    size: int = 0
    labels: bool = False
    revision: int = 0
    name: str = ""
    """Of a download: a file below the exports folder."""


_FIELDS = tuple(Grant.__dataclass_fields__)
_TYPES: dict[str, type] = {
    name: {"int": int, "bool": bool}.get(str(f.type), str)
    for name, f in Grant.__dataclass_fields__.items()
}


class Tokens:
    """Signs grants and reads them again; one for each server, safe to share by threads."""

    def __init__(self, secret: bytes, *, now: Callable[[], float] = time.time) -> None:
        """`secret`: at least 32 random bytes; `now`: seconds since 1970."""
        signing = {"digest_method": hashlib.sha256}
        self._secret, self._now = secret, now
        self._grants = URLSafeSerializer(
            derived(secret, "grants"), salt="synthstudio.grant", signer_kwargs=signing
        )
        self._browsers = Signer(derived(secret, "browsers"), digest_method=hashlib.sha256)
        self._given: OrderedDict[Grant, tuple[str, float]] = OrderedDict()
        self._lock = threading.Lock()
        self.cookie = f"synthstudio_{derived(secret, 'cookie name').hex()[:8]}"
        """The cookie that tells browsers apart; servers on one host have different ones."""

    def token(self, grant: Grant) -> str:
        """Return the token of a grant: the same one again while it has long enough to go."""
        now = self._now()
        with self._lock:
            text, expiry = self._given.get(grant, ("", 0.0))
            if expiry - now < STEP_S:
                expiry = (now + LIFETIME_S) // STEP_S * STEP_S + STEP_S
                text = str(self._grants.dumps([*(getattr(grant, f) for f in _FIELDS), expiry]))
                self._given[grant] = (text, expiry)
            self._given.move_to_end(grant)
            if len(self._given) > _KEPT:
                self._given.popitem(last=False)
        return text

    def read(self, token: str, *, kinds: tuple[Kind, ...]) -> Grant:
        """Return what a token allows; StudioError when it is forged, spent or of another kind."""
        if len(token) > MAX_CHARS:
            raise _bad("longer than any of ours")
        try:
            values = self._grants.loads(token)
        except (BadData, ValueError, RecursionError) as error:
            raise _bad("not signed by this server") from error
        if not isinstance(values, list) or len(values) != len(_FIELDS) + 1:
            raise _bad("of another version")
        grant = Grant(**_typed(dict(zip(_FIELDS, values, strict=False))))
        if not isinstance(values[-1], (int, float)) or values[-1] <= self._now():
            raise _bad("expired")
        if grant.kind not in kinds:
            raise _bad(f"for {grant.kind}")
        return grant

    def new_browser(self) -> str:
        """Return the value of a cookie for a browser that has none."""
        return self._browsers.sign(secrets.token_urlsafe(18)).decode()

    def browser(self, cookie: str | None) -> str:
        """Return a name for the browser that sent this cookie; "" for none or a forged one."""
        try:
            value = self._browsers.unsign((cookie or "").encode())
        except (BadData, UnicodeError):
            return ""
        return hashlib.sha256(value).hexdigest()[:24]


def derived(secret: bytes, purpose: str) -> bytes:
    """Return 32 bytes that belong to one purpose; nothing of the secret can be learnt of them."""
    return hmac.digest(secret, f"synthstudio {purpose}".encode(), "sha256")


def load_secret(folder: Path) -> bytes:
    """Return the server's signing key, made at the first start.

    SYNTHSTUDIO_SECRET in the environment goes first. StudioError when others may read the file.
    """
    said = os.environ.get("SYNTHSTUDIO_SECRET")
    if said is not None:
        if len(said.encode()) < 32:
            raise StudioError(
                "the signing key is too short",
                where="SYNTHSTUDIO_SECRET",
                expected="32 characters or more",
                then="Make one: openssl rand -hex 32",
            )
        return said.encode()
    path = folder / KEY_NAME
    with disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return bytes.fromhex(private_text(path).strip())
        with os.fdopen(descriptor, "w") as file:
            file.write(made := secrets.token_hex(32))
    return bytes.fromhex(made)


def private_text(path: Path) -> str:
    """Return the text of a file that only its owner, who is us, may read; else StudioError."""
    try:
        found = path.stat()
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StudioError(f"cannot read this file: {error}", where=str(path)) from error
    open_to_others = stat.S_IMODE(found.st_mode) & 0o177
    if open_to_others or found.st_uid != os.getuid() or not stat.S_ISREG(found.st_mode):
        raise StudioError(
            "a file with secrets must be its owner's alone",
            where=str(path),
            expected="mode 600, owned by who starts the studio",
            got=f"mode {stat.S_IMODE(found.st_mode):o}, owner {found.st_uid}",
            then=f"Run: chmod 600 {path}",
        )
    return text


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if type(value) is not _TYPES[name]:
            raise _bad("of another version")
    return values


def _bad(why: str) -> StudioError:
    return StudioError("this link is not valid", where="token", got=f"one {why}")
