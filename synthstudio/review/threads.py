"""Threads: a comment with its answers, open or resolved, and who is mentioned in it.

A thread's id is the number of its first comment's event. The rows of `thread` are derived
from the events of a person, and rewritten with every event of a thread.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, String, cast, delete, func, select
from sqlalchemy.orm import Session

from synthstudio.review.models import EventRow, MemberRow, ThreadRow, event_of, in_layer, is_person
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, Event, Kind, Op, Pair, Person, invalid, reverted_ids

THREAD_KINDS: tuple[Kind, ...] = ("comment", "resolve", "reopen")
"""Kinds of events of threads; so are their reverts."""
_AT_ONCE = 500
_ROWS_AT_ONCE = 50
_THREAD_FIELDS = ("comment", "resolved")


@dataclass(frozen=True, kw_only=True)
class Thread:
    """A thread with its first comment in force. `comments`: those in force, oldest first.

    `joint`: subject of the first comment, None: the whole person. `mentions`: names, each once.
    """

    id: int
    person: Person
    comments: tuple[Event, ...]
    is_open: bool
    joint: str | None
    mentions: tuple[str, ...]
    when: datetime  # of the last event in it


def is_of_thread(event: Event) -> bool:
    """Whether an event belongs to a thread, or reverts one that does."""
    return any(name in event.after for name in _THREAD_FIELDS)


def thread_events(session: Session, whose: ColumnElement[bool]) -> list[Event]:
    """Events of threads, with undos and redos, by number."""
    kinds = EventRow.kind.in_((*THREAD_KINDS, "revert"))
    rows = session.scalars(select(EventRow).where(whose, kinds).order_by(EventRow.id))
    return [event for event in map(event_of, rows) if is_of_thread(event)]


def threads_of(events: Sequence[Event]) -> list[Thread]:
    """The threads of one person. `events`: of `thread_events`."""
    gone = reverted_ids(events)
    holding = [event for event in events if event.id not in gone and event.reverts is None]
    found = []
    for first in holding:
        if first.kind != "comment" or "thread" in first.after:
            continue
        answers = [event for event in holding if event.after.get("thread") == first.id]
        comments = [first, *(event for event in answers if event.kind == "comment")]
        decided = [event for event in answers if "resolved" in event.after]
        names = dict.fromkeys(name for event in comments for name in mentions_of(event))
        joint = first.after.get("joint")
        found.append(
            Thread(
                id=first.id,
                person=first.person,
                comments=tuple(comments),
                is_open=not (decided and decided[-1].after["resolved"]),
                joint=None if joint is None else str(joint),
                mentions=tuple(names),
                when=[first, *answers][-1].when,
            )
        )
    return found


def mentions_of(comment: Event) -> list[str]:
    """The mentions of a comment, resolved at the time of writing."""
    names = comment.after.get("mentions", ())
    return [str(name) for name in names] if isinstance(names, list | tuple) else []


def names_in(text: str, names: Collection[str]) -> list[str]:
    """The names that a text mentions by @NAME, each once; the longest match is used."""
    longest = sorted(names, key=len, reverse=True)
    found: dict[str, None] = {}
    for at, letter in enumerate(text):
        if letter != "@" or (at and _is_word(text[at - 1])):
            continue
        rest = text[at + 1 :]
        for name in longest:
            fits = rest[: len(name)].casefold() == name.casefold()
            if fits and not _is_word(rest[len(name) : len(name) + 1]):
                found[name] = None
                break
    return list(found)


def _is_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def store_threads(session: Session, person: Person) -> None:
    """Replace the rows of a person's threads by those of their events."""
    events = thread_events(session, is_person(EventRow, person))
    session.execute(delete(ThreadRow).where(is_person(ThreadRow, person)))
    for thread in threads_of(events):
        session.add(ThreadRow(**asdict(person), **_values(thread)))
    session.flush()


def _values(thread: Thread) -> dict[str, object]:
    return {
        "id": thread.id,
        "who": thread.comments[0].who,
        "when": thread.when,
        "joint": thread.joint,
        "is_open": thread.is_open,
        "comments": len(thread.comments),
        "mentions": list(thread.mentions),
    }


def wrong_rows(rows: Iterable[ThreadRow | None], threads: Iterable[Thread]) -> Iterator[str]:
    """List stored threads that differ from the replay of their events."""
    stored = {None if row is None else row.id: row for row in rows}  # None: without its key
    for thread in threads:
        row = stored.pop(thread.id, None)
        values = _values(thread)
        if row is None or row.person != thread.person:
            yield f"thread {thread.id}: events without a thread"
        elif {name: getattr(row, name) for name in values} != values:
            yield f"thread {thread.id}: differs from the replay of its events"
    yield from (f"thread {number}: thread without events" for number in stored)


def commented(session: Session, op: Op) -> dict[str, Any]:
    """The values of a comment; Refused("invalid") if it answers no thread of its person."""
    after: dict[str, Any] = {"comment": op.text}
    if op.event is not None:
        after["thread"] = _thread_of(session, op).id
    if op.joint is not None:
        after["joint"] = op.joint
    if "@" in op.text:
        names = names_in(op.text, session.scalars(select(MemberRow.name)).all())
        after |= {"mentions": names} if names else {}
    return after


def settled(session: Session, op: Op) -> dict[str, Any]:
    """The values of resolving or reopening a thread; Refused("invalid") if already so."""
    thread = _thread_of(session, op)
    if thread.is_open == (op.kind == "reopen"):
        word = "open" if thread.is_open else "resolved"
        invalid(f"this thread is {word} already", f"event {op.event}", expected="another")
    return {"resolved": thread.is_open, "thread": thread.id}


def _thread_of(session: Session, op: Op) -> ThreadRow:
    row = session.get(ThreadRow, op.event)
    if row is None or row.person != op.person:
        invalid(
            "this person has no such thread",
            "event",
            expected="the event of a first comment in force",
            got=op.event,
        )
    return row


def threads_in(
    store: Store, dataset: str, people: Iterable[Pair], *, layer: str = MAIN
) -> dict[Pair, list[Thread]]:
    """(frame, instance) -> the threads of a person, oldest first, if any."""
    wanted = set(people)
    frames = sorted({frame for frame, _ in wanted})
    found: dict[Pair, list[Event]] = {}
    with store.reading() as session:
        for start in range(0, len(frames), _AT_ONCE):
            own = EventRow.frame.in_(frames[start : start + _AT_ONCE])
            for event in thread_events(session, in_layer(EventRow, dataset, layer) & own):
                if event.person.pair in wanted:
                    found.setdefault(event.person.pair, []).append(event)
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
    latest: bool = False,
    hidden: Collection[Pair] = (),
) -> list[ThreadRow]:
    """Threads of the layer main by number, or the `latest` active first; not of `hidden` people.

    `mentions`: only with that name.
    """
    query = _of_set(dataset, is_open, mentions).where(ThreadRow.id > after_id)
    if latest:
        query = query.order_by(ThreadRow.when.desc())
    query = query.order_by(ThreadRow.id.desc() if latest else ThreadRow.id)
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
    """(frame, instance) -> number of threads, if any; see thread_list."""
    of = ThreadRow.frame, ThreadRow.instance
    query = _of_set(dataset, is_open, mentions).with_only_columns(*of, func.count()).group_by(*of)
    with store.reading() as session:
        return {(frame, instance): count for frame, instance, count in session.execute(query)}


def _of_set(dataset: str, is_open: bool | None, mentions: str | None) -> Select[ThreadRow]:
    query = select(ThreadRow).where(in_layer(ThreadRow, dataset))
    if is_open is not None:
        query = query.where(ThreadRow.is_open.is_(is_open))
    if mentions is not None:
        # JSON text as it was written; SQLite's LIKE ignores case.
        names = cast(ThreadRow.mentions, String)
        query = query.where(func.replace(names, json.dumps(mentions), "") != names)
    return query
