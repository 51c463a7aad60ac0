"""Text of people in places that would read more into it: Markdown, CSV, log files, names."""

from __future__ import annotations

import csv
import functools
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

from confusable_homoglyphs import categories, confusables

from synthstudio.core.errors import StudioError
from synthstudio.review.secret_texts import hide_secrets

NAME_CHARS = 64
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&@/=^\"'])")
_LINK = re.compile(r"(:(?=//)|www(?=\.)|@)", re.IGNORECASE)
_JOINER = "\u2060"
"""Not seen and no space. Bare addresses become links whatever is escaped, unless it parts them."""
_FULL_WIDTH = "\uff1d\uff0b\uff0d\uff20"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", *_FULL_WIDTH)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_PATH = re.compile(
    r"(?:\b(?:sqlite|file):/{2,3}|(?<![\w:/.]))"  # the start of a path
    r"/(?:[^/\s;:,'\"()]+/)+([^/\s;:,'\"()]*)"
)
_TOGETHER = (
    {"HAN", "HIRAGANA", "KATAKANA", "LATIN"},
    {"HAN", "HANGUL", "LATIN"},
    {"HAN", "BOPOMOFO", "LATIN"},
)
_NAME = re.compile(r"[^\W_](?:[\w .,'@+\-]*[\w.])?")


def plain(text: object) -> str:
    """Return text for a Markdown field (st.markdown, labels, captions) that shows as it is.

    No markup, link, picture, icon, colour or formula can come of it; a line break is a space.
    """
    one_line = " ".join(_printable(str(text)).split())
    return _MARKDOWN.sub(r"\\\1", _LINK.sub(r"\1" + _JOINER, one_line))


def csv_cell(value: object) -> str:
    """Return a value as a CSV cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    if text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return a table as a CSV file; every CSV that the studio hands out is made here."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    for row in (header, *rows):
        writer.writerow([csv_cell(value) for value in row])
    return file.getvalue().encode("utf-8")


def log_text(value: object, *, longest: int = 200) -> str:
    """Return text for one line of a log: ASCII, no control characters, no token, not too long."""
    text = hide_secrets(ascii(str(value))[1:-1])
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def checked_name(text: str) -> str:
    """Return a person's name, trimmed; StudioError unless it is short and of plain characters."""
    name = unicodedata.normalize("NFKC", text).strip()
    if mixes_scripts(name):
        raise StudioError(
            "this cannot be a name: it mixes scripts whose letters look alike",
            where="name",
            expected="letters of one script",
            got=repr(log_text(text, longest=80)),
        )
    if not 1 <= len(name) <= NAME_CHARS or not _NAME.fullmatch(name):
        raise StudioError(
            "this cannot be a name",
            where="name",
            expected=f"1 to {NAME_CHARS} letters, digits, spaces and . , ' @ + - _",
            got=repr(log_text(text, longest=80)) if text else "nothing",
        )
    return name


def mixes_scripts(name: str) -> bool:
    """Whether a name's letters are of several scripts that no language writes together."""
    scripts = categories.unique_aliases(name) - {"COMMON", "INHERITED"}
    return len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER)


def look_alike(name: str, known: Iterable[str]) -> str | None:
    """Return which other of `known` names reads the same as this one, None for none."""
    drawn = _drawn(name)
    return next((other for other in known if other != name and _drawn(other) == drawn), None)


def _drawn(name: str) -> str:
    return "".join(map(_prototype, unicodedata.normalize("NFKC", name)))


@functools.lru_cache(4096)
def _prototype(letter: str) -> str:
    """The first of all letters that look like this one (Unicode's table of confusables)."""
    same, new = {letter}, [letter]
    while new:
        for other in confusables.confusables_data.get(new.pop(), ()):
            if len(other["c"]) == 1 and other["c"] not in same:
                same.add(other["c"])
                new.append(other["c"])
    return min(same)


def without_paths(text: object) -> str:
    """Return a message without the folders of this machine: of a path its last part stays."""
    return _PATH.sub(r"\1", str(text))


def _printable(text: str) -> str:
    """Drop what is not seen and may turn the order of what is: controls and formats."""
    kept = ("Cc", "Cf", "Cs", "Co", "Cn")
    return "".join(c if unicodedata.category(c) not in kept else " " for c in text)
