"""Tokens, codes and sessions: 256 random bits each, of which only SHA-256 is stored."""

from __future__ import annotations

import hashlib
import re
import secrets

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
