"""Sign-in: passwords and their hashes, secret texts, browser sessions, a rate limit of failures.

A secret (a token, a code, a session) has 256 random bits, of which only SHA-256 is stored.

Tries are limited by account and by address, and counted before the password is checked, so that
concurrent ones are limited; stored, so that a restart keeps them. Unknown names are counted in the
same way, to reveal nothing.
"""

import functools
import hashlib
import hmac
import ipaddress
import re
import secrets
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import yaml
from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review.models import AccountRow, FailureRow, SessionRow, utc_now
from synthstudio.review.store import Store, insert_into

MIN_CHARS, MAX_CHARS = 12, 256
MIN_DIFFERENT = 5
HASHER = PasswordHasher(time_cost=3, memory_cost=65_536, parallelism=4, type=Type.ID)
"""RFC 9106's second choice: 64 MiB and three passes; each hash records its parameters.

Callers limit concurrent hashing (studio/sign_in.py)."""
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


TOKEN, CODE, SESSION = "sst_", "ssi_", "sss_"
"""Prefixes of API tokens, of invitation or reset codes, and of sessions."""
_SECRET_BYTES = 32
_SECRET_CHARS = "[A-Za-z0-9_\\-]"
PATTERN = re.compile(rf"(?:{TOKEN}|{CODE}|{SESSION}){_SECRET_CHARS}{{8,}}")
"""Pattern of secrets: truncated in logs, and refused in URLs."""


def make_secret(prefix: str) -> str:
    return prefix + secrets.token_urlsafe(_SECRET_BYTES)


def is_secret(prefix: str, text: str) -> bool:
    return re.fullmatch(rf"{prefix}{_SECRET_CHARS}{{43}}", text) is not None


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def hide_secrets(text: str) -> str:
    return PATTERN.sub(lambda found: found.group()[:4] + "...", text)


IDLE, LONGEST = timedelta(hours=12), timedelta(days=7)
_NOTED_EVERY = timedelta(minutes=5)
"""Minimum interval between updates of a session's last use."""


class TooManyFailures(Exception):
    """Too many failed tries: none is checked before `wait` is over."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("too many failed sign-ins")
        self.wait = wait


def sign_in(
    store: Store, name: str, password: str, *, address: str, secret: bytes, old: str = ""
) -> str | None:
    """A new session's secret, None for no such account or a wrong password.

    Both take one password check. `name`: normalised by members.normal_name; `secret`: of the
    server, for unknown names; `old`: the browser's previous session, which is ended.
    Raises after too many failed tries.
    """
    now = utc_now()
    with store.reading() as session:  # PostgreSQL rejects NUL
        found = None if "\0" in name else session.get(AccountRow, name)
    account = unknown_key(name, secret) if found is None else account_key(name)
    where = address_key(address)
    taken = count_attempt(store, account=account, address=where, now=now)
    if taken.wait:
        raise TooManyFailures(taken.wait)
    stored = None if found is None or found.revoked is not None else found.password
    if not is_right(stored, password) or stored is None:
        return None
    outdated = HASHER.check_needs_rehash(stored)
    renewed = HASHER.hash(password) if outdated else stored
    text = make_secret(SESSION)
    with store.session() as session:
        row = session.get(AccountRow, name, with_for_update=True)
        if row is None or row.password != stored:
            return None  # reset or revoked concurrently
        row.password = renewed
        undo_attempt(session, taken)
        session.execute(delete(SessionRow).where(~valid_sessions(now)))
        _end(session, old)
        session.add(SessionRow(digest=digest(text), name=name, made=now, seen=now))
    return text


def read_session(store: Store, text: str) -> str | None:
    """The user of this session secret, None if invalid or expired."""
    if not is_secret(SESSION, text):
        return None
    now = utc_now()
    with store.reading() as session:
        row = session.get(SessionRow, digest(text))
        if row is None or row.made + LONGEST <= now or row.seen + IDLE <= now:
            return None
    if now - row.seen > _NOTED_EVERY:
        # This look-up is on the hot path: if the store is busy, the next use is recorded.
        with suppress(Refused), store.session(waits=False) as session:
            found = session.get(SessionRow, row.digest, with_for_update=True)
            if found is None:
                return None  # ended since
            found.seen = max(found.seen, now)
    return row.name


def end_session(store: Store, text: str) -> None:
    with store.session() as session:
        _end(session, text)


def valid_sessions(now: datetime) -> ColumnElement[bool]:
    return and_(SessionRow.made > now - LONGEST, SessionRow.seen > now - IDLE)


def _end(session: Session, text: str) -> None:
    if is_secret(SESSION, text):
        session.execute(delete(SessionRow).where(SessionRow.digest == digest(text)))


# ---- rate limit of failed sign-ins

FREE, FREE_OF_ADDRESS = 10, 50
"""Failed tries without delay, of an account and of an address (which may be shared)."""
WINDOW = timedelta(minutes=15)
"""Time after the last failed try and its delay when all are reset."""
_CLEANED_EVERY = timedelta(minutes=1)
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)


def account_key(name: str) -> str:
    return digest(f"account {name}")


def unknown_key(name: str, secret: bytes) -> str:
    """The key of an unknown name; the server's `secret` prevents guessing."""
    return hmac.new(secret, f"account {name}".encode(), "sha256").hexdigest()


def address_key(address: str) -> str:
    """Return the key of an address; IPv6 addresses of one /64 network are equal."""
    counted: object = address
    with suppress(ValueError):
        counted = found = ipaddress.ip_address(address)
        if isinstance(found, ipaddress.IPv6Address):
            counted = found.ipv4_mapped or ipaddress.ip_network((found, 64), strict=False)
    return digest(f"address {counted}")


def wait_after(wrong: int, *, free: int) -> timedelta:
    """The delay after a number of failed tries, `free` of which are without."""
    if wrong < free:
        return timedelta(0)
    return min(FIRST_WAIT * 2 ** min(wrong - free, 20), LONGEST_WAIT)


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A try counted as failed at `when`; not counted with a `wait`.

    `last`: the previous failed one from that address.
    """

    account: str
    address: str
    when: datetime
    last: datetime
    wait: timedelta = timedelta(0)


def count_attempt(store: Store, *, account: str, address: str, now: datetime) -> Attempt:
    """Count a try as failed, unless its account or address is blocked."""
    taken = Attempt(account=account, address=address, when=now, last=now)
    with store.reading() as session:  # blocked ones write nothing
        waits = [blocked_until(session, key, now=now) or now for key in (address, account)]
        old = session.scalar(
            select(FailureRow.key).where(_forgotten(now - _CLEANED_EVERY)).limit(1)
        )
    if max(waits) > now:
        return replace(taken, wait=max(waits) - now)
    if old is not None:
        with store.session() as session:
            # A locked row is in use; waiting for it could deadlock.
            free = select(FailureRow.key).where(_forgotten(now)).with_for_update(skip_locked=True)
            session.execute(delete(FailureRow).where(FailureRow.key.in_(free)))
    rows: list[FailureRow] = []
    with store.session() as session:
        for key in (address, account):  # a fixed order of locks, against deadlocks
            rows.append(_locked(session, key, now))
            if rows[-1].until > now:
                return replace(taken, wait=rows[-1].until - now)
        taken = replace(taken, last=rows[0].last)
        for row, limit in zip(rows, (FREE_OF_ADDRESS, FREE), strict=True):
            is_old = max(row.last, row.until) < now - WINDOW
            row.wrong, row.last = 1 if is_old else row.wrong + 1, now
            if wait := wait_after(row.wrong, free=limit):
                row.until = now + wait
    return taken


def undo_attempt(session: Session, taken: Attempt) -> None:
    """After a successful try: reset the account's failures, and this one of the address."""
    row = session.get(FailureRow, taken.address, with_for_update=True)  # first, as in count_attempt
    if row is not None:
        row.wrong, row.until = max(0, row.wrong - 1), min(row.until, taken.when)
        row.last = taken.last if row.last == taken.when else row.last
    delete_failures(session, taken.account)


def delete_failures(session: Session, key: str) -> None:
    session.execute(delete(FailureRow).where(FailureRow.key == key))


def blocked_until(session: Session, key: str, *, now: datetime) -> datetime | None:
    return session.scalar(
        select(FailureRow.until).where(FailureRow.key == key, FailureRow.until > now)
    )


def _forgotten(now: datetime) -> ColumnElement[bool]:
    return and_(FailureRow.last < now - WINDOW, FailureRow.until < now - WINDOW)


def _locked(session: Session, key: str, now: datetime) -> FailureRow:
    new = {"key": key, "wrong": 0, "last": now, "until": now}
    # Another sign-in may delete the row concurrently.
    while (row := session.get(FailureRow, key, with_for_update=True)) is None:
        session.execute(insert_into(session, FailureRow).on_conflict_do_nothing(), [new])
    return row
