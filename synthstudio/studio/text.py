"""Escaping of user text for Markdown, CSV and log files."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Sequence

from synthstudio.review.identities import hide_secrets

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&@/=^\"'])")
_LINK = re.compile(r"(:(?=//)|www(?=\.)|@)", re.IGNORECASE)
_JOINER = "\u2060"
"""Zero-width separator. Bare addresses become links despite escaping, unless it splits them."""
_FULL_WIDTH = "\uff1d\uff0b\uff0d\uff20"
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", *_FULL_WIDTH)
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_PATH = re.compile(
    r"(?:\b(?:sqlite|file):/{2,3}|(?<![\w:/.]))"  # the start of a path
    r"/(?:[^/\s;:,'\"()]+/)+([^/\s;:,'\"()]*)"
)


def plain(text: object) -> str:
    """Text shown verbatim in Markdown fields: no markup, link, icon or formula; on one line."""
    hidden = ("Cc", "Cf", "Cs", "Co", "Cn")  # invisible ones may reorder text
    shown = (" " if unicodedata.category(c) in hidden else c for c in str(text))
    one_line = " ".join("".join(shown).split())
    return _MARKDOWN.sub(r"\\\1", _LINK.sub(r"\1" + _JOINER, one_line))


def csv_cell(value: object) -> str:
    """Return a value as a CSV cell that no spreadsheet interprets as a formula."""
    text = "" if value is None else str(value)
    if text.lstrip(" ").startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    for row in (header, *rows):
        writer.writerow([csv_cell(value) for value in row])
    return file.getvalue().encode("utf-8")


def log_text(value: object, *, longest: int = 200) -> str:
    """Return text for one line of a log: ASCII, no control characters, no token, truncated."""
    text = hide_secrets(ascii(str(value))[1:-1])
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def without_paths(text: object) -> str:
    """Return a message with paths reduced to their last part."""
    return _PATH.sub(r"\1", str(text))
