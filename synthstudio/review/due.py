"""What waits of people who were assigned until a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, func, or_, select

from synthstudio.review.history import DECIDED
from synthstudio.review.models import AssignmentRow, ItemRow, utc_now
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN

_KEY = ("dataset", "frame", "instance", "layer")


@dataclass(frozen=True, kw_only=True)
class Due:
    """What somebody was assigned and has not decided on: `people` of a `day`, None: no day."""

    who: str
    day: date | None
    people: int


def due_days(store: Store, dataset: str, *, layer: str = MAIN) -> list[Due]:
    """What waits of all assignments, by name and day, those without a day last."""
    row, item = AssignmentRow, ItemRow
    same = [getattr(item, name) == getattr(row, name) for name in _KEY]
    gone = or_(item.deleted.is_(True), item.status.in_(DECIDED))
    query = (
        select(row.who, row.due, func.count().label("people"))
        .outerjoin(item, and_(*same))
        .where(row.dataset == dataset, row.layer == layer, or_(item.frame.is_(None), ~gone))
        .group_by(row.who, row.due)
    )
    with store.reading() as session:
        found = [Due(who=w, day=d, people=n) for w, d, n in session.execute(query)]
    return sorted(found, key=lambda one: (one.who, one.day or date.max))


def is_overdue(day: date | None, *, now: datetime | None = None) -> bool:
    """Whether a day is over, in UTC."""
    return day is not None and day < (now or utc_now()).date()
