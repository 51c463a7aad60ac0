"""Passwords: policy, argon2id hashes, and constant-time verification."""

from __future__ import annotations

import functools
import unicodedata
from pathlib import Path

import yaml
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from synthstudio.core.errors import Refused

MIN_CHARS, MAX_CHARS = 12, 256
MIN_DIFFERENT = 5
HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4, type=Type.ID)
"""RFC 9106's second choice: 64 MiB and three passes; each hash records its parameters.

Callers limit concurrent hashing (studio/sign_in/routes.py)."""
_TAIL = "0123456789!?.,;:-_+*#$@&%/() "
"""Common suffixes of weak passwords."""


def checked_password(text: str, name: str) -> str:
    """A password as it is hashed (NFKC); Refused("invalid") if the policy rejects it."""
    password = unicodedata.normalize("NFKC", text)
    if not MIN_CHARS <= len(password) <= MAX_CHARS:
        raise _invalid(
            "this password is too short" if len(password) < MIN_CHARS else "too long a password",
            f"{MIN_CHARS} to {MAX_CHARS} characters",
            f"{len(password)} characters",
        )
    folded = password.casefold()
    if _is_common(folded):
        raise _invalid("this password is too common", "a less common one")
    if len(set(folded)) < MIN_DIFFERENT:
        raise _invalid(
            "this password repeats itself", f"at least {MIN_DIFFERENT} different characters"
        )
    letters, mine = _letters(password), _letters(name)
    if letters and mine and not (letters.replace(mine, "") and letters.replace(mine[::-1], "")):
        raise _invalid("this password is the name", "something else than the name")
    return password


def is_right(stored: str | None, text: str) -> bool:
    """Whether a text is the password; None (no such account) takes as long."""
    password = unicodedata.normalize("NFKC", text)
    try:
        right = HASHER.verify(stored or _unknown_account(), password)
    except (VerificationError, InvalidHashError):
        return False
    return right and stored is not None


def _is_common(folded: str) -> bool:
    words, whole = _commonest()
    word = folded.rstrip(_TAIL)
    half = word[: len(word) // 2]
    return not word or folded in whole or word in words or (half in words and word == half * 2)


@functools.cache
def _commonest() -> tuple[frozenset[str], frozenset[str]]:
    file = Path(__file__).with_name("commonest_passwords.yaml")
    found = yaml.safe_load(file.read_text("utf-8"))
    return frozenset(found["words"]), frozenset(found["whole"])


@functools.cache
def _unknown_account() -> str:
    """A dummy hash with the current parameters."""
    return HASHER.hash("the password of no account")


def _letters(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalpha())


def _invalid(what: str, expected: str, got: str | None = None) -> Refused:
    return Refused(what, where="password", expected=expected, got=got, reason="invalid")
