"""Names of people: validity, and confusable names."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Collection, Iterable
from typing import NoReturn

from confusable_homoglyphs import categories, confusables

from synthstudio.core.errors import Refused
from synthstudio.review.secret_texts import hide_secrets

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
