"""Sessions: who signed in by a password in which browser, until when."""

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
"""How often at most the store is told that a session is in use."""


class Waits(Exception):
    """Too many wrong tries: no other is looked at before `wait` is over."""

    def __init__(self, wait: timedelta) -> None:
        super().__init__("too many wrong tries")
        self.wait = wait


def sign_in(
    store: Store,
    name: str,
    password: str,
    *,
    address: str,
    secret: bytes,
    old: str = "",
    now: datetime | None = None,
) -> str | None:
    """Return a new session's secret, None for no such account or a wrong password.

    Both cost one look at a password. `name`: as names.normal_name gives it; `secret`: of the
    server, for names that are no account's; `old`: the session that the browser had, which ends.
    Waits after too many wrong tries.
    """
    moment = now or utc_now()
    found = _account(store, name)
    account = lockout.unknown_key(name, secret) if found is None else lockout.account_key(name)
    where = lockout.address_key(address)
    taken = lockout.take_try(store, account=account, address=where, now=moment)
    if taken.wait:
        raise Waits(taken.wait)
    stored = None if found is None or found.revoked is not None else found.password
    if not passwords.is_right(stored, password) or stored is None:
        return None
    renewed = passwords.hashed(password) if passwords.is_outdated(stored) else stored
    text = make_secret(SESSION)
    with store.session() as session:
        row = session.get(AccountRow, name, with_for_update=True)
        if row is None or row.password != stored:
            return None  # reset or revoked while we looked
        row.password = renewed
        lockout.give_back(session, taken)
        session.execute(delete(SessionRow).where(~still_holding(moment)))
        _end(session, old)
        session.add(SessionRow(digest=digest(text), name=name, made=moment, seen=moment))
    return text


def read_session(store: Store, text: str, *, now: datetime | None = None) -> str | None:
    """Return who signed in by this secret, None for one that does not hold (any more)."""
    if not is_secret(SESSION, text):
        return None
    moment = now or utc_now()
    with store.reading() as session:
        row = session.get(SessionRow, digest(text))
        if row is None or row.made + LONGEST <= moment or row.seen + IDLE <= moment:
            return None
    if moment - row.seen > _NOTED_EVERY:
        # Everybody waits for this look-up: where the store is busy, the next use notes it.
        with suppress(Refused), store.session(waits=False) as session:
            found = session.get(SessionRow, row.digest, with_for_update=True)
            if found is None:
                return None  # ended since
            found.seen = max(found.seen, moment)
    return row.name


def end_session(store: Store, text: str) -> None:
    with store.session() as session:
        _end(session, text)


def still_holding(now: datetime) -> ColumnElement[bool]:
    return and_(SessionRow.made > now - LONGEST, SessionRow.seen > now - IDLE)


def _end(session: Session, text: str) -> None:
    if is_secret(SESSION, text):
        session.execute(delete(SessionRow).where(SessionRow.digest == digest(text)))


def _account(store: Store, name: str) -> AccountRow | None:
    if "\0" in name:  # nobody's, and PostgreSQL takes no such text
        return None
    with store.reading() as session:
        return session.get(AccountRow, name)
