"""Progress of a review and due assignments, counted by the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, func, or_, select

from synthstudio.review.history import DECIDED
from synthstudio.review.models import AssignmentRow, DatasetRow, ItemRow, utc_now
from synthstudio.review.store import Store
from synthstudio.review.values import FRAME, MAIN, NO_PEOPLE


def progress_counts(store: Store, dataset: str) -> tuple[int, int]:
    """Number of decided people of the layer main, and of all."""
    on_disk, rows = by_status(store, dataset)
    done = sum(n for status, deleted, _, n in rows if status in DECIDED and not deleted)
    changed = sum(n * (int(added) - int(deleted)) for _, deleted, added, n in rows)
    return done, on_disk + changed


def by_status(store: Store, dataset: str) -> tuple[int, list[tuple[str, bool, bool, int]]]:
    """People on disk, and (status, deleted, added, count) of the touched ones of the layer main."""
    with store.reading() as session:
        known = session.get(DatasetRow, dataset)
        rows = session.execute(
            select(ItemRow.status, ItemRow.deleted, ItemRow.added, func.count())
            .where(ItemRow.dataset == dataset, ItemRow.layer == MAIN, ItemRow.instance != FRAME)
            .group_by(ItemRow.status, ItemRow.deleted, ItemRow.added)
        ).all()
    return (known.people if known is not None else 0), [(s, d, a, n) for s, d, a, n in rows]


def empty_frames(store: Store, dataset: str) -> set[int]:
    """Return the frames marked as empty."""
    query = select(ItemRow.frame).where(
        ItemRow.dataset == dataset,
        ItemRow.layer == MAIN,
        ItemRow.instance == FRAME,
        ItemRow.status == NO_PEOPLE,
    )
    with store.reading() as session:
        return set(session.scalars(query))


@dataclass(frozen=True, kw_only=True)
class DueCount:
    """Undecided assignments of a reviewer: `people` of a `day`, None: no day."""

    who: str
    day: date | None
    people: int


def due_days(store: Store, dataset: str, *, layer: str = MAIN) -> list[DueCount]:
    """Undecided assignments by name and day, those without a day last."""
    row, item = AssignmentRow, ItemRow
    same = [
        getattr(item, name) == getattr(row, name)
        for name in ("dataset", "frame", "instance", "layer")
    ]
    gone = or_(item.deleted.is_(True), item.status.in_(DECIDED))
    query = (
        select(row.who, row.due, func.count().label("people"))
        .outerjoin(item, and_(*same))
        .where(row.dataset == dataset, row.layer == layer, or_(item.frame.is_(None), ~gone))
        .group_by(row.who, row.due)
    )
    with store.reading() as session:
        found = [DueCount(who=w, day=d, people=n) for w, d, n in session.execute(query)]
    return sorted(found, key=lambda one: (one.who, one.day or date.max))


def is_overdue(day: date | None, *, now: datetime | None = None) -> bool:
    """Whether a day is over, in UTC."""
    return day is not None and day < (now or utc_now()).date()
