"""Tokens, codes and sessions: 256 random bits each, of which only SHA-256 is stored."""

from __future__ import annotations

import hashlib
import re
import secrets

TOKEN, CODE, SESSION = "sst_", "ssi_", "sss_"
"""Of a program, of an invitation or a new password, of somebody who signed in."""
_RANDOM_BYTES = 32
_TAIL = "[A-Za-z0-9_\\-]"
PATTERN = re.compile(rf"(?:{TOKEN}|{CODE}|{SESSION}){_TAIL}{{8,}}")
"""What reads like one: logs show its first letters, and an address that has one is refused."""


def make_secret(prefix: str) -> str:
    """Return a new one, which nobody can learn again."""
    return prefix + secrets.token_urlsafe(_RANDOM_BYTES)


def is_secret(prefix: str, text: str) -> bool:
    return re.fullmatch(rf"{prefix}{_TAIL}{{43}}", text) is not None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hide_secrets(text: str) -> str:
    """Return a text in which of each its first letters stand alone."""
    return PATTERN.sub(lambda found: found.group()[:4] + "...", text)
