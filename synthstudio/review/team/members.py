"""The team of a store: members with their roles, and assignments of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, and_, delete, func, select, update
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review.check import check_name
from synthstudio.review.models import (
    AssignmentRow,
    CodeRow,
    MemberRow,
    TokenRow,
    in_layer,
    utc_now,
)
from synthstudio.review.store import Store, advisory_lock, upsert
from synthstudio.review.values import ROLES, Person, Role, User, invalid, require, to_role

TURN = "team"
"""The lock that serialises changes of roles, accounts and codes."""


def members(store: Store) -> Mapping[str, Role]:
    """Name -> role of all members, by name; empty if none."""
    with store.reading() as session:
        rows = session.scalars(select(MemberRow).order_by(MemberRow.name))
        return {row.name: to_role(row.role) for row in rows}


def role_of(store: Store, name: str) -> Role | None:
    with store.reading() as session:
        row = session.get(MemberRow, name)
        return None if row is None else to_role(row.role)


def set_role(store: Store, name: str, role: Role | None, *, by: User) -> None:
    """Set or remove (None) a member's role. Admins only.

    A lowered role revokes earlier grants: codes by that person expire, and tokens made for others.
    Refused: "role" for others, "invalid" for an invalid name or role and for the last admin.
    """
    require(by, "members")
    check_name(name, "name")
    if role is not None and role not in ROLES:
        invalid("no such role", "role", expected=", ".join(ROLES), got=role)
    with store.session() as session:
        advisory_lock(session, TURN)  # against concurrent removal of the last two admins
        row = session.get(MemberRow, name, with_for_update=True)
        if row is not None and row.role == "admin" and role != "admin":
            if session.scalar(select(func.count()).where(MemberRow.role == "admin")) == 1:
                raise Refused(
                    "the last admin cannot be removed",
                    where=name,
                    then="Make another member admin first.",
                    reason="invalid",
                )
        if row is not None and (role is None or ROLES.index(role) < ROLES.index(to_role(row.role))):
            session.execute(delete(CodeRow).where(CodeRow.by == name))
            for_others = and_(TokenRow.by == name, TokenRow.who != name)
            revoke_where(session, for_others, when=utc_now())
        if role is None:
            if row is not None:
                session.delete(row)
        else:
            given = {"role": role, "by": by.name, "when": utc_now()}
            upsert(session, MemberRow, [{"name": name, **given}])


def revoke_where(session: Session, which: ColumnElement[bool], *, when: datetime) -> None:
    ending = update(TokenRow).where(which, TokenRow.revoked.is_(None))
    session.execute(ending.values(revoked=when))


_AT_ONCE = 200
MAX_DAYS = 3_660
"""Maximum days until a due date."""


def assign(
    store: Store, people: Sequence[Person], *, to: str, by: User, due: date | None = None
) -> int:
    """Assign people to a member until the end of day `due` (UTC). Refused: "role", "invalid"."""
    require(by, "assign")
    check_name(to, "assigned to")
    now = utc_now()
    today = now.date()
    # Yesterday in UTC may be today elsewhere.
    if due is not None and (type(due) is not date or not -1 <= (due - today).days <= MAX_DAYS):
        expected = f"{today} to {today + timedelta(days=MAX_DAYS)}"
        invalid("invalid due date", "due", expected=expected, got=due)
    given = {"who": to, "by": by.name, "when": now, "due": due}
    # A fixed order of writes, against deadlocks.
    unique = sorted(set(people), key=astuple)
    with store.session() as session:
        for start in range(0, len(unique), _AT_ONCE):
            rows = [asdict(person) | given for person in unique[start : start + _AT_ONCE]]
            upsert(session, AssignmentRow, rows)
    return len(unique)


def assigned(store: Store, dataset: str, *, who: str | None = None) -> dict[tuple[int, int], str]:
    """(frame, instance) -> assigned reviewer; `who`: only that reviewer's."""
    row = AssignmentRow
    query = select(row.frame, row.instance, row.who).where(in_layer(row, dataset))
    if who is not None:
        query = query.where(row.who == who)
    with store.reading() as session:
        return {(frame, instance): name for frame, instance, name in session.execute(query)}


def assignment_counts(store: Store, dataset: str) -> dict[str, int]:
    return dict(sorted(Counter(assigned(store, dataset).values()).items()))
