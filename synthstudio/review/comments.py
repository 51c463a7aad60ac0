"""Comments in force: threads of a person, of a data set, by mention."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from itertools import islice

from sqlalchemy import Select, String, cast, func, select

from synthstudio.review.history import event_of
from synthstudio.review.models import EventRow, ThreadRow
from synthstudio.review.store import Store
from synthstudio.review.threads import Thread, thread_event_rows, threads_of
from synthstudio.review.values import MAIN, Event

_FRAMES_AT_ONCE = 500
_ROWS_AT_ONCE = 50
Pair = tuple[int, int]


Listed = ThreadRow
"""A thread in a list: a detached row."""


def threads_in(
    store: Store, dataset: str, people: Iterable[Pair], *, layer: str = MAIN
) -> dict[Pair, list[Thread]]:
    """Return (frame, instance) -> the threads of a person, oldest first, if any."""
    wanted = set(people)
    frames = sorted({frame for frame, _ in wanted})
    of_set = (EventRow.dataset == dataset) & (EventRow.layer == layer)
    found: dict[Pair, list[Event]] = {}
    with store.reading() as session:
        for start in range(0, len(frames), _FRAMES_AT_ONCE):
            page = frames[start : start + _FRAMES_AT_ONCE]
            for row in thread_event_rows(session, of_set & EventRow.frame.in_(page)):
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
    """The threads of the layer main by their number. `mentions`: only with that name."""
    query = _of_set(dataset, is_open, mentions).where(ThreadRow.id > after_id)
    with store.reading() as session:
        return list(session.scalars(query.order_by(ThreadRow.id).limit(limit)))


def latest_threads(
    store: Store,
    dataset: str,
    *,
    is_open: bool | None = None,
    mentions: str | None = None,
    hidden: Collection[Pair] = (),
    limit: int | None = None,
) -> list[Listed]:
    """Threads of the layer main, last active first, without those of `hidden` people."""
    query = _of_set(dataset, is_open, mentions).order_by(ThreadRow.when.desc(), ThreadRow.id.desc())
    if not hidden:
        query = query.limit(limit)
    with (
        store.reading() as session,
        session.scalars(query.execution_options(yield_per=_ROWS_AT_ONCE)) as rows,
    ):
        shown = (row for row in rows if (row.frame, row.instance) not in hidden)
        return list(islice(shown, limit))


def thread_count(
    store: Store, dataset: str, *, is_open: bool | None = None, mentions: str | None = None
) -> int:
    """Number of threads of a data set; see thread_list."""
    query = _of_set(dataset, is_open, mentions).with_only_columns(func.count())
    with store.reading() as session:
        return session.scalar(query) or 0


def threads_of_people(
    store: Store, dataset: str, *, is_open: bool | None = None, mentions: str | None = None
) -> dict[Pair, int]:
    """Return (frame, instance) -> number of threads, if any; see thread_list."""
    of = ThreadRow.frame, ThreadRow.instance
    query = _of_set(dataset, is_open, mentions).with_only_columns(*of, func.count()).group_by(*of)
    with store.reading() as session:
        return {(frame, instance): count for frame, instance, count in session.execute(query)}


def _of_set(dataset: str, is_open: bool | None, mentions: str | None) -> Select[ThreadRow]:
    query = select(ThreadRow).where(ThreadRow.dataset == dataset, ThreadRow.layer == MAIN)
    if is_open is not None:
        query = query.where(ThreadRow.is_open.is_(is_open))
    if mentions is not None:
        # JSON text as it was written; SQLite's LIKE ignores case.
        names = cast(ThreadRow.mentions, String)
        query = query.where(func.replace(names, json.dumps(mentions), "") != names)
    return query
