"""Names of people, and secrets: tokens, codes and sessions.

A name is valid when it is short and plain, and looks like no other. A secret has 256 random bits,
of which only SHA-256 is stored.
"""

from __future__ import annotations

import functools
import hashlib
import re
import secrets
import unicodedata
from collections.abc import Collection, Iterable
from typing import NoReturn

from confusable_homoglyphs import categories, confusables

from synthstudio.core.errors import Refused

TOKEN, CODE, SESSION = "sst_", "ssi_", "sss_"
"""Prefixes of API tokens, of invitation or reset codes, and of sessions."""
_RANDOM_BYTES = 32
_TAIL = "[A-Za-z0-9_\\-]"
PATTERN = re.compile(rf"(?:{TOKEN}|{CODE}|{SESSION}){_TAIL}{{8,}}")
"""Pattern of secrets: truncated in logs, and refused in URLs."""


def make_secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(_RANDOM_BYTES)


def is_secret(prefix: str, text: str) -> bool:
    return re.fullmatch(rf"{prefix}{_TAIL}{{43}}", text) is not None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hide_secrets(text: str) -> str:
    return PATTERN.sub(lambda found: found.group()[:4] + "...", text)


NAME_CHARS = 64
_TOGETHER = (
    {"HAN", "HIRAGANA", "KATAKANA", "LATIN"},
    {"HAN", "HANGUL", "LATIN"},
    {"HAN", "BOPOMOFO", "LATIN"},
)
_NAME = re.compile(r"[^\W_](?:[\w .,'@+\-]*[\w.])?")


def normal_name(text: str) -> str:
    """Return a name in stored form: NFKC, without spaces around it."""
    return unicodedata.normalize("NFKC", text).strip()


def checked_name(text: str) -> str:
    """Return a person's name, as normal_name; Refused("invalid") unless short and plain."""
    name = normal_name(text)
    if mixes_scripts(name):
        _refuse("it mixes scripts whose letters look alike", "letters of one script", _quoted(text))
    if not 1 <= len(name) <= NAME_CHARS or not _NAME.fullmatch(name):
        expected = f"1 to {NAME_CHARS} letters, digits, spaces and . , ' @ + - _"
        _refuse("it is not short and plain", expected, _quoted(text) if text else "nothing")
    return name


def mixes_scripts(name: str) -> bool:
    """Whether a name mixes scripts that no language combines."""
    scripts = categories.unique_aliases(name) - {"COMMON", "INHERITED"}
    return len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER)


def confusable_name(name: str, known: Iterable[str]) -> str | None:
    """The first of `known` names that looks the same, ignoring case; None."""
    drawn = _drawn(name)
    return next((other for other in known if other != name and drawn & _drawn(other)), None)


def check_free(name: str, known: Collection[str]) -> None:
    """Raise Refused("invalid") for a name that is not in `known` but looks the same as one."""
    if name not in known and (other := confusable_name(name, known)) is not None:
        got = f"{_quoted(name)}, like {other}"
        _refuse("it looks the same as another's", "a name of your own", got)


def _refuse(why: str, expected: str, got: str) -> NoReturn:
    what = f"invalid name: {why}"
    raise Refused(what, where="name", expected=expected, got=got, reason="invalid")


def _quoted(text: str) -> str:
    return repr(hide_secrets(ascii(text)[1:-1])[:80])


def _drawn(name: str) -> frozenset[str]:
    normal = unicodedata.normalize("NFKC", name)
    return frozenset("".join(map(_prototype, case)) for case in (normal, normal.casefold()))


@functools.lru_cache(4096)
def _prototype(letter: str) -> str:
    """The canonical letter of those that look like this one (Unicode's table of confusables)."""
    same, new = {letter}, [letter]
    while new:
        for other in confusables.confusables_data.get(new.pop(), ()):
            if len(other["c"]) == 1 and other["c"] not in same:
                same.add(other["c"])
                new.append(other["c"])
    return min(same)
