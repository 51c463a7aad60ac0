"""How far a review is, counted by the database: quick for sets of any size."""

from __future__ import annotations

from sqlalchemy import func, select

from synthstudio.review.history import DECIDED
from synthstudio.review.models import DatasetRow, ItemRow
from synthstudio.review.store import Store
from synthstudio.review.values import FRAME, MAIN, NOBODY


def done_and_total(store: Store, dataset: str) -> tuple[int, int]:
    """How many people were decided on, and how many there are, without deleted ones.

    The same as `history.counts` of the layer main.
    """
    on_disk, rows = by_status(store, dataset)
    done = sum(n for status, deleted, _, n in rows if status in DECIDED and not deleted)
    changed = sum(n * (int(added) - int(deleted)) for _, deleted, added, n in rows)
    return done, on_disk + changed


def by_status(store: Store, dataset: str) -> tuple[int, list[tuple[str, bool, bool, int]]]:
    """How many people are on disk, and (status, deleted, added, count) of the touched ones.

    Of the layer main, counted by the database.
    """
    with store.reading() as session:
        known = session.get(DatasetRow, dataset)
        rows = session.execute(
            select(ItemRow.status, ItemRow.deleted, ItemRow.added, func.count())
            .where(ItemRow.dataset == dataset, ItemRow.layer == MAIN, ItemRow.instance != FRAME)
            .group_by(ItemRow.status, ItemRow.deleted, ItemRow.added)
        ).all()
    return (known.people if known is not None else 0), [(s, d, a, n) for s, d, a, n in rows]


def empty_frames(store: Store, dataset: str) -> set[int]:
    """Return the frames of which it was decided that nobody is in them."""
    query = select(ItemRow.frame).where(
        ItemRow.dataset == dataset,
        ItemRow.layer == MAIN,
        ItemRow.instance == FRAME,
        ItemRow.status == NOBODY,
    )
    with store.reading() as session:
        return set(session.scalars(query))
