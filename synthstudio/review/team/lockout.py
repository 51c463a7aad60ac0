"""Rate limit of failed sign-ins by account and by address.

Counted before the password is checked, so that concurrent tries are limited; stored, so that a
restart keeps them. Unknown names are counted in the same way, to reveal nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, select
from sqlalchemy.orm import Session

from synthstudio.review.models import TriesRow
from synthstudio.review.secret_texts import digest
from synthstudio.review.store import Store, insert_into

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
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return digest(f"address {address}")
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return digest(f"address {found.ipv4_mapped}")
        return digest(f"address {ipaddress.ip_network((found, 64), strict=False)}")
    return digest(f"address {found}")


def wait_after(wrong: int, *, free: int) -> timedelta:
    """The delay after a number of failed tries, `free` of which are without."""
    if wrong < free:
        return timedelta(0)
    return min(FIRST_WAIT * 2 ** min(wrong - free, 20), LONGEST_WAIT)


@dataclass(frozen=True, kw_only=True)
class Try:
    """A try counted as failed at `when`; not counted with a `wait`.

    `last`: the previous failed one from that address.
    """

    account: str
    address: str
    when: datetime
    last: datetime
    wait: timedelta = timedelta(0)


def count_attempt(store: Store, *, account: str, address: str, now: datetime) -> Try:
    """Count a try as failed, unless its account or address is blocked."""
    taken = Try(account=account, address=address, when=now, last=now)
    with store.reading() as session:  # blocked ones write nothing
        waits = [blocked_until(session, key, now=now) or now for key in (address, account)]
        old = session.scalar(select(TriesRow.key).where(_forgotten(now - _CLEANED_EVERY)).limit(1))
    if max(waits) > now:
        return replace(taken, wait=max(waits) - now)
    if old is not None:
        with store.session() as session:
            # A locked row is in use; waiting for it could deadlock.
            free = select(TriesRow.key).where(_forgotten(now)).with_for_update(skip_locked=True)
            session.execute(delete(TriesRow).where(TriesRow.key.in_(free)))
    rows: list[TriesRow] = []
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


def give_back(session: Session, taken: Try) -> None:
    """After a successful try: reset the account's failures, and this one of the address."""
    row = session.get(TriesRow, taken.address, with_for_update=True)  # first, as in count_attempt
    if row is not None:
        row.wrong, row.until = max(0, row.wrong - 1), min(row.until, taken.when)
        row.last = taken.last if row.last == taken.when else row.last
    forget(session, taken.account)


def forget(session: Session, key: str) -> None:
    session.execute(delete(TriesRow).where(TriesRow.key == key))


def blocked_until(session: Session, key: str, *, now: datetime) -> datetime | None:
    return session.scalar(select(TriesRow.until).where(TriesRow.key == key, TriesRow.until > now))


def _forgotten(now: datetime) -> ColumnElement[bool]:
    return and_(TriesRow.last < now - WINDOW, TriesRow.until < now - WINDOW)


def _locked(session: Session, key: str, now: datetime) -> TriesRow:
    new = {"key": key, "wrong": 0, "last": now, "until": now}
    # Another sign-in may delete the row concurrently.
    while (row := session.get(TriesRow, key, with_for_update=True)) is None:
        session.execute(insert_into(session, TriesRow).on_conflict_do_nothing(), [new])
    return row
