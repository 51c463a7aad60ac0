"""Leases: exclusive, expiring rights to edit a person.

A claim is decided by the database, in one statement per person, so concurrent claims are exclusive.
A lease expires unless renewed; then anyone may claim the person, and the previous holder
must claim it again before the next edit.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from itertools import chain, islice

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review.history import is_decided
from synthstudio.review.models import (
    EventRow,
    ItemRow,
    LeaseRow,
    in_layer,
    is_person,
    state_of,
    utc_now,
)
from synthstudio.review.store import Store, count_changed, insert_into
from synthstudio.review.values import MAIN, Pair, Person, User, invalid, may, require

LOG = logging.getLogger("synthstudio.review.leases")

SECOND, ADJUDICATED = "second", "adjudicated"
"""Layers of team.second_review: written only through it."""
DURATION = timedelta(minutes=30)
MAX_AT_ONCE = 500
_TRY_AT_ONCE = 200


def check(session: Session, person: Person, who: User, now: datetime) -> None:
    """Raise Refused("lease") if another reviewer holds this person, or the own lease ended.

    An unclaimed person may be changed by all: revisions detect conflicts. But a
    second review is blind, so it needs a lease, which `team.second_review.begin_second_reviews`
    grants only to eligible reviewers. While that lease is valid and the second review is undecided,
    its holder may not write to the layer main, regardless of role; and reviewers who wrote there
    may not write to a second review, even with a lease. Attempts are logged. Only leads
    write to the layer adjudicated: Refused("role") for others.
    """
    if person.layer == ADJUDICATED:
        require(who, "adjudicate")
    if person.layer == MAIN and _reviews_second(session, person, who, now):
        what = "your blind second review of this person is open"
        raise _not_blind(what, who, person, "Finish the second review first, or release it.")
    if person.layer == SECOND and _has_reviewed_first(session, person, who):
        what = "a second review is blind, and you did the first"
        raise _not_blind(what, who, person, "Leave it to another reviewer.")
    row = session.get(LeaseRow, person.key)
    if row is None:
        if person.layer == SECOND:
            then = "Start it on the page Team."
            raise _refused("a second review needs a lease", person, then)
    elif row.until > now and row.who != who.name:
        raise Refused(
            "another reviewer is working on this person",
            where=person.where,
            got=row.who,
            then="Choose another person, or wait until the lease ends.",
            reason="lease",
        )
    elif row.until <= now and row.who == who.name:
        then = "Claim the person again."
        raise _refused("your lease on this person has ended", person, then)


def _reviews_second(session: Session, person: Person, who: User, now: datetime) -> bool:
    key = replace(person, layer=SECOND).key
    lease = session.get(LeaseRow, key)
    if lease is None or lease.who != who.name or lease.until <= now:
        return False
    item = session.get(ItemRow, key)
    return item is None or not is_decided(state_of(item))


def _has_reviewed_first(session: Session, person: Person, who: User) -> bool:
    first = is_person(EventRow, replace(person, layer=MAIN))
    query = select(EventRow.id).where(first, EventRow.who == who.name)
    return session.scalar(query.limit(1)) is not None


def _not_blind(what: str, who: User, person: Person, then: str) -> Refused:
    LOG.warning("refused to %s: %s (%s)", ascii(who.name)[:100], what, person.where)
    return _refused(what, person, then)


def _refused(what: str, person: Person, then: str) -> Refused:
    return Refused(what, where=person.where, then=then, reason="lease")


def claim(store: Store, people: Iterable[Person], *, who: User, count: int = 1) -> list[Person]:
    """Lease to `who` the first `count` of `people` (may be lazy) not held by others."""
    require(who, "claim")
    _check_count(count)
    found: list[Person] = []
    waiting: Iterator[Person] = iter(people)
    while len(found) < count:
        batch = list(islice(waiting, min(_TRY_AT_ONCE, max(count - len(found), 8))))
        if not batch:
            break
        now = utc_now()
        with store.session() as session:
            held = _held_by_others(session, batch, who.name, now)
            free = [person for person in batch if person not in held]
            tried = free[: count - len(found)]
            won = _upsert(session, tried, who.name, now)
        found += [person for person in tried if person in won]
        waiting = chain(free[len(tried) :], waiting)
    return found


def renew(store: Store, people: Sequence[Person], *, who: User) -> list[Person]:
    """Renew leases of `who`; return those not taken by others. Refused("busy") at once."""
    require(who, "claim")
    _check_count(len(people) or 1)
    until = utc_now() + DURATION
    kept = set()
    with store.session(waits=False) as session:
        for person in sorted(people, key=lambda p: p.key):
            mine = is_person(LeaseRow, person), LeaseRow.who == who.name
            if count_changed(session, update(LeaseRow).where(*mine).values(until=until)):
                kept.add(person)
    return [person for person in people if person in kept]


def release(store: Store, people: Sequence[Person], *, who: User) -> int:
    """Release leases; return the number. A lead may release those of others too."""
    require(who, "claim")
    others = may(who.role, "assign")
    released = 0
    with store.session() as session:
        for person in sorted(people, key=lambda p: p.key):
            own = [] if others else [LeaseRow.who == who.name]
            query = delete(LeaseRow).where(is_person(LeaseRow, person), *own)
            released += count_changed(session, query)
    return released


def leases(
    store: Store, dataset: str, *, layer: str = MAIN, who: str | None = None
) -> dict[Pair, LeaseRow]:
    """(frame, instance) -> valid leases; `who`: only that person's."""
    query = select(LeaseRow).where(in_layer(LeaseRow, dataset, layer), LeaseRow.until > utc_now())
    if who is not None:
        query = query.where(LeaseRow.who == who)
    with store.reading() as session:
        rows = session.scalars(query.order_by(LeaseRow.frame, LeaseRow.instance))
        return {(row.frame, row.instance): row for row in rows}


def _held_by_others(
    session: Session, people: Sequence[Person], who: str, now: datetime
) -> set[Person]:
    rows = session.scalars(
        select(LeaseRow).where(
            or_(*(is_person(LeaseRow, person) for person in people)),
            LeaseRow.until > now,
            LeaseRow.who != who,
        )
    )
    return {row.person for row in rows}


def _upsert(session: Session, people: Sequence[Person], who: str, now: datetime) -> set[Person]:
    """Write leases where no other is valid; return the written ones.

    All in the order of their keys: two transactions on the same rows cannot deadlock.
    """
    won: set[Person] = set()
    given = {"who": who, "until": now + DURATION}
    for person in sorted(people, key=lambda p: p.key):
        query = insert_into(session, LeaseRow).values(**asdict(person), **given)
        query = query.on_conflict_do_update(
            index_elements=[*asdict(person)],
            set_=given,
            where=or_(LeaseRow.who == who, LeaseRow.until <= now),
        )
        if session.execute(query.returning(LeaseRow.who)).first() is not None:
            won.add(person)
    return won


def _check_count(count: int) -> None:
    if type(count) is not int or not 1 <= count <= MAX_AT_ONCE:
        invalid("too many at once", "count", expected=f"1 to {MAX_AT_ONCE}", got=count)
