"""Assignment: who shall look at which people, as a lead said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple

from sqlalchemy import Delete, and_, delete, func, or_, select

from synthstudio.review.check import check_name
from synthstudio.review.models import AssignmentRow, utc_now
from synthstudio.review.roles import need
from synthstudio.review.store import Store, upsert
from synthstudio.review.values import MAIN, Person, User

_AT_ONCE = 200


def assign(store: Store, people: Sequence[Person], *, to: str, by: User) -> int:
    """Give people to somebody; whoever had them has them no more. Refused: "role", "invalid"."""
    need(by, "assign")
    check_name(to, "assigned to")
    said = {"who": to, "by": by.name, "when": utc_now()}
    # All leads write in one order: two with the same people cannot wait for each other in a ring.
    unique = sorted(set(people), key=astuple)
    with store.session() as session:
        for start in range(0, len(unique), _AT_ONCE):
            rows = [asdict(person) | said for person in unique[start : start + _AT_ONCE]]
            upsert(session, AssignmentRow, rows)
    return len(unique)


def unassign(store: Store, people: Sequence[Person], *, by: User) -> None:
    """Take people from whoever has them. Refused: "role"."""
    need(by, "assign")
    with store.session() as session:
        for start in range(0, len(people), _AT_ONCE):
            session.execute(_of(people[start : start + _AT_ONCE]))


def assigned(
    store: Store, dataset: str, *, layer: str = MAIN, who: str | None = None
) -> dict[tuple[int, int], str]:
    """Return (frame, instance) -> who shall look at it; `who`: only that person's."""
    query = select(AssignmentRow.frame, AssignmentRow.instance, AssignmentRow.who).where(
        AssignmentRow.dataset == dataset, AssignmentRow.layer == layer
    )
    if who is not None:
        query = query.where(AssignmentRow.who == who)
    with store.reading() as session:
        return {(frame, instance): name for frame, instance, name in session.execute(query)}


def loads(store: Store, dataset: str, *, layer: str = MAIN) -> dict[str, int]:
    """Return name -> how many people are assigned."""
    query = (
        select(AssignmentRow.who, func.count().label("people"))
        .where(AssignmentRow.dataset == dataset, AssignmentRow.layer == layer)
        .group_by(AssignmentRow.who)
        .order_by(AssignmentRow.who)
    )
    with store.reading() as session:
        return {row.who: row.people for row in session.execute(query)}


def _of(people: Sequence[Person]) -> Delete:
    return delete(AssignmentRow).where(
        or_(
            *(
                and_(
                    AssignmentRow.dataset == p.dataset,
                    AssignmentRow.frame == p.frame,
                    AssignmentRow.instance == p.instance,
                    AssignmentRow.layer == p.layer,
                )
                for p in people
            )
        )
    )
