"""Browser sessions after sign-in by password."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review.models import AccountRow, SessionRow, utc_now
from synthstudio.review.secret_texts import SESSION, digest, is_secret, make_secret
from synthstudio.review.store import Store
from synthstudio.review.team import lockout, passwords

IDLE, LONGEST = timedelta(hours=12), timedelta(days=7)
_NOTED_EVERY = timedelta(minutes=5)
"""Minimum interval between updates of a session's last use."""


class Waits(Exception):
    """Too many failed tries: none is checked before `wait` is over."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("too many failed sign-ins")
        self.wait = wait


def sign_in(
    store: Store,
    name: str,
    password: str,
    *,
    address: str,
    secret: bytes,
    old: str = "",
) -> str | None:
    """A new session's secret, None for no such account or a wrong password.

    Both take one password check. `name`: normalised by names.normal_name; `secret`: of the
    server, for unknown names; `old`: the browser's previous session, which is ended.
    Raises after too many failed tries.
    """
    now = utc_now()
    found = _account(store, name)
    account = lockout.unknown_key(name, secret) if found is None else lockout.account_key(name)
    where = lockout.address_key(address)
    taken = lockout.count_attempt(store, account=account, address=where, now=now)
    if taken.wait:
        raise Waits(taken.wait)
    stored = None if found is None or found.revoked is not None else found.password
    if not passwords.is_right(stored, password) or stored is None:
        return None
    outdated = passwords.HASHER.check_needs_rehash(stored)
    renewed = passwords.HASHER.hash(password) if outdated else stored
    text = make_secret(SESSION)
    with store.session() as session:
        row = session.get(AccountRow, name, with_for_update=True)
        if row is None or row.password != stored:
            return None  # reset or revoked concurrently
        row.password = renewed
        lockout.give_back(session, taken)
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


def _account(store: Store, name: str) -> AccountRow | None:
    if "\0" in name:  # invalid, and rejected by PostgreSQL
        return None
    with store.reading() as session:
        return session.get(AccountRow, name)
