"""What people wrote about people: the comments that hold."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from synthstudio.review.history import event_of, reverted_ids
from synthstudio.review.models import EventRow
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, Event

_FRAMES_AT_ONCE = 500


def comments_in(
    store: Store, dataset: str, people: Iterable[tuple[int, int]], *, layer: str = MAIN
) -> dict[tuple[int, int], list[Event]]:
    """Return (frame, instance) -> the comments that hold, oldest first."""
    wanted = set(people)
    frames = sorted({frame for frame, _ in wanted})
    query = select(EventRow).where(
        EventRow.dataset == dataset,
        EventRow.layer == layer,
        EventRow.kind.in_(("comment", "revert")),
    )
    found: list[Event] = []
    with store.reading() as session:
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            some = query.where(EventRow.frame.in_(frames[start : start + _FRAMES_AT_ONCE]))
            found += [event_of(row) for row in session.scalars(some.order_by(EventRow.id))]
    gone = reverted_ids(found)
    said: dict[tuple[int, int], list[Event]] = {}
    for event in found:
        pair = (event.person.frame, event.person.instance)
        if event.kind == "comment" and pair in wanted and event.id not in gone:
            said.setdefault(pair, []).append(event)
    return said
