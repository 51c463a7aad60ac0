"""What people wrote about people, as it holds: threads of a person, of a data set, for somebody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Select, func, select

from synthstudio.review.history import event_of
from synthstudio.review.models import EventRow, ThreadRow
from synthstudio.review.store import Store
from synthstudio.review.threads import TALKING, Thread, threads_of
from synthstudio.review.values import MAIN, Event

_FRAMES_AT_ONCE = 500
Pair = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A thread in a list. `who` began it, `when` something last happened in it; see Thread."""

    id: int
    frame: int
    instance: int
    who: str
    when: datetime
    joint: str | None
    is_open: bool
    comments: int
    mentions: tuple[str, ...]


def threads_in(
    store: Store, dataset: str, people: Iterable[Pair], *, layer: str = MAIN
) -> dict[Pair, list[Thread]]:
    """Return (frame, instance) -> the threads of a person, oldest first, for those who have any."""
    wanted = set(people)
    frames = sorted({frame for frame, _ in wanted})
    query = select(EventRow).where(
        EventRow.dataset == dataset, EventRow.layer == layer, EventRow.kind.in_(TALKING)
    )
    found: dict[Pair, list[Event]] = {}
    with store.reading() as session:
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            some = query.where(EventRow.frame.in_(frames[start : start + _FRAMES_AT_ONCE]))
            for row in session.scalars(some.order_by(EventRow.id)):
                if (row.frame, row.instance) in wanted:
                    found.setdefault((row.frame, row.instance), []).append(event_of(row))
    threads = {pair: threads_of(events) for pair, events in found.items()}
    return {pair: some for pair, some in threads.items() if some}


def thread_list(
    store: Store,
    dataset: str,
    *,
    is_open: bool | None = None,
    mentions: str | None = None,
    after_id: int = 0,
    limit: int | None = None,
) -> list[Listed]:
    """The threads of the layer main by their number. `mentions`: only where that name is."""
    query = _of_set(dataset).where(ThreadRow.id > after_id).order_by(ThreadRow.id)
    if is_open is not None:
        query = query.where(ThreadRow.is_open.is_(is_open))
    with store.reading() as session:
        return list(_some(session.scalars(query), mentions, limit))


def open_count(store: Store, dataset: str) -> int:
    """How many threads of a data set are open, whomever they are about."""
    query = _of_set(dataset).where(ThreadRow.is_open.is_(True))
    with store.reading() as session:
        return session.scalar(query.with_only_columns(func.count())) or 0


def _of_set(dataset: str) -> Select[ThreadRow]:
    return select(ThreadRow).where(ThreadRow.dataset == dataset, ThreadRow.layer == MAIN)


def _some(rows: Iterable[ThreadRow], mentions: str | None, limit: int | None) -> Iterator[Listed]:
    left = limit
    for row in rows:
        if mentions is not None and mentions not in row.mentions:
            continue
        if left == 0:
            return
        left = None if left is None else left - 1
        yield Listed(
            id=row.id,
            frame=row.frame,
            instance=row.instance,
            who=row.who,
            when=row.when,
            joint=row.joint,
            is_open=row.is_open,
            comments=row.comments,
            mentions=tuple(row.mentions),
        )
