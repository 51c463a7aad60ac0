"""Data sets of the store, replay of events into items, and queries of people.

`apply_event` is the only rule for stored items; `check_replay` verifies them.
An event's `before` and `after` hold the same keys: joints (name -> label, None: as in the set
says), status and reason, box, deleted, added, rejected_models, comment (None: taken back), its
joint and mentions, resolved; thread: to which the last two belong, none for a first comment.
"""

import hashlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import Select, and_, exc, func, inspect, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, defer

from synthstudio.core.errors import ReviewError
from synthstudio.dataset.durable import canonical_json
from synthstudio.dataset.reader import Dataset
from synthstudio.review.check import check_name
from synthstudio.review.models import (
    AssignmentRow,
    DatasetRow,
    EventRow,
    ItemRow,
    ThreadRow,
    event_of,
    in_layer,
    is_person,
    labels_from_json,
    state_of,
    stored_object,
    utc_now,
)
from synthstudio.review.store import Store
from synthstudio.review.threads import is_of_thread, threads_of, wrong_rows
from synthstudio.review.values import (
    FRAME,
    ITEM_FIELDS,
    MAIN,
    NO_PEOPLE,
    Event,
    ItemState,
    Kind,
    Pair,
    Person,
    Status,
)

T = TypeVar("T")
_COMMENT = ("comment", "joint", "mentions", "resolved", "thread")
_FRAMES_AT_ONCE = 500
_EVENTS_AT_ONCE = 500
DECIDING: tuple[Kind, ...] = ("status", "delete", "restore", "revert")
_OUTCOME = ("status", "reason", "deleted", "added")
DECIDED: tuple[Status, ...] = ("approved", "rejected", "flagged")
"""Decisions; a skipped person is still pending."""
INNER = "dataset"
"""Folder name of the data set of `synthstudio demo`."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Progress of a review. `status` counts people, untouched ones as pending.

    `people`: on disk and added, without deleted ones. `reviewers`: name -> kind of event -> n,
    those of second reviews too.
    """

    people: int
    status: Mapping[str, int]
    empty_frames: int  # frames marked as empty
    touched: int
    deleted: int
    added: int
    joints: int  # changed ones
    events: int
    reviewers: Mapping[str, Mapping[str, int]]


def apply_event(state: ItemState, event: Event) -> ItemState:
    after: Mapping[str, Any] = event.after
    changed = stored_object(after.get("joints", {}), "event.after, joints")
    kept = {name: label for name, label in state.joints.items() if name not in changed}
    comments = (after.get("comment") is not None) - (event.before.get("comment") is not None)
    return replace(
        state,
        revision=event.revision,
        who=event.who,
        when=event.when,
        joints=kept | labels_from_json(changed),
        comments=state.comments + comments,
        **{name: after[name] for name in ITEM_FIELDS if name in after},
    )


def snapshot(state: ItemState, after: Mapping[str, Any]) -> dict[str, Any]:
    """The current values of the fields in `after`: an event's `before`."""
    before: dict[str, Any] = {name: getattr(state, name) for name in ITEM_FIELDS if name in after}
    if "joints" in after:
        before["joints"] = {
            name: asdict(state.joints[name]) if name in state.joints else None
            for name in after["joints"]
        }
    if "comment" in after:
        before["comment"] = None
    if "resolved" in after:
        before["resolved"] = not after["resolved"]
    if "thread" in after:
        before["thread"] = after["thread"]
    return before


def content_key(dataset: Dataset) -> str:
    """A content hash of a data set: its skeleton and the digests of its shards."""
    shards = sorted(dataset.shard_digests.items())
    value = {"skeleton": dataset.identity.skeleton, "shards": shards}
    return hashlib.sha256(canonical_json(value)).hexdigest()


def register(store: Store, dataset: Dataset, name: str) -> str:
    """Register a data set under a name (1 to 80 characters), or rename it; return its key."""
    check_name(name, "name of the data set")
    key = content_key(dataset)
    values = {"name": name, "skeleton": dataset.identity.skeleton, "people": dataset.people}
    try:
        with store.session() as session:
            row = session.get(DatasetRow, key)
            if row is None:
                session.add(DatasetRow(key=key, added_at=utc_now(), **values))
            elif row.name != name:
                row.name = name
    except exc.IntegrityError:
        with store.reading() as session:  # another process was faster
            if session.get(DatasetRow, key) is None:
                raise
    return key


def datasets(store: Store) -> dict[str, str]:
    with store.reading() as session:
        rows = session.scalars(select(DatasetRow).order_by(DatasetRow.name, DatasetRow.key))
        return {row.key: row.name for row in rows}


def state(store: Store, person: Person) -> ItemState:
    """The state of a person after all events; revision 0 if untouched."""
    with store.reading() as session:
        row = session.get(ItemRow, person.key)
        return ItemState(person=person) if row is None else state_of(row)


def states(
    store: Store,
    dataset: str,
    *,
    layer: str = MAIN,
    people: Collection[Pair] | None = None,
    frames: Iterable[int] | None = None,
    masks: bool = True,
    session: Session | None = None,
) -> dict[Pair, ItemState]:
    """(frame, instance) -> state of touched people: some `people`, those of some `frames`, or all.

    `session`: an open one, else a new one.
    """
    if people is not None:
        frames = {frame for frame, _ in people}
    query = select(ItemRow).where(in_layer(ItemRow, dataset, layer))
    query = query.order_by(ItemRow.frame, ItemRow.instance)
    if not masks:  # they are most of a state's size
        query = query.options(defer(ItemRow.masks, raiseload=True))
    requested = None if people is None else set(people)
    with nullcontext(session) if session else store.reading() as reading:
        rows: Iterable[ItemRow] = (
            reading.scalars(query)
            if frames is None
            else in_frames(reading, query, ItemRow.frame, frames)
        )
        return {
            (row.frame, row.instance): state_of(row, masks=masks)
            for row in rows
            if requested is None or (row.frame, row.instance) in requested
        }


def in_frames(
    session: Session, query: Select[T], column: InstrumentedAttribute[int], frames: Iterable[int]
) -> Iterator[T]:
    """The rows of a query in some frames, some hundred frames at a time."""
    listed = sorted(set(frames))
    for start in range(0, len(listed), _FRAMES_AT_ONCE):
        some = listed[start : start + _FRAMES_AT_ONCE]
        yield from session.scalars(query.where(column.in_(some)))


def added_people(store: Store, dataset: str) -> dict[Pair, str]:
    """(frame, instance) -> status of all people added by reviewers and not deleted."""
    query = select(ItemRow.frame, ItemRow.instance, ItemRow.status).where(
        in_layer(ItemRow, dataset), ItemRow.added.is_(True), ItemRow.deleted.is_(False)
    )
    with store.reading() as session:
        rows = session.execute(query.order_by(ItemRow.frame, ItemRow.instance)).all()
        return {(frame, instance): status for frame, instance, status in rows}


def events(
    store: Store,
    dataset: str,
    *,
    person: Person | None = None,
    who: str | None = None,
    kinds: Sequence[Kind] | None = None,
    after_id: int = 0,
    limit: int = 1000,
    newest: bool = False,
) -> list[Event]:
    """Events in order, at most `limit` after `after_id`; `kinds`: of these, in the layer main."""
    query = select(EventRow).where(EventRow.dataset == dataset, EventRow.id > after_id)
    if person is not None:
        query = query.where(is_person(EventRow, person))
    if who is not None:
        query = query.where(EventRow.who == who)
    if kinds is not None:
        query = query.where(EventRow.kind.in_(kinds), EventRow.layer == MAIN)
    with store.reading() as session:
        order = EventRow.id.desc() if newest else EventRow.id
        found = [event_of(row) for row in session.scalars(query.order_by(order).limit(limit))]
        return found[::-1] if newest else found


def is_decision(event: Event) -> bool:
    """Whether an event sets a status or deletes a person, or reverts that."""
    return event.kind in DECIDING and any(name in event.after for name in _OUTCOME)


def event_json(event: Event) -> dict[str, Any]:
    """A decision, or an event of a thread, as plain JSON values."""
    return {
        "event": event.id,
        "dataset": event.person.dataset,
        "frame": event.person.frame,
        "instance": event.person.instance,
        "revision": event.revision,
        "kind": event.kind,
        "who": event.who,
        "when": event.when.isoformat(),
        "reverts": event.reverts,
        **{name: event.after[name] for name in (*_OUTCOME, *_COMMENT) if name in event.after},
    }


def event_named(store: Store, person: Person, client: str, seq: int) -> int | None:
    """The number of an op's event; None without one."""
    named = (EventRow.client == client) & (EventRow.seq == seq)
    with store.reading() as session:
        return session.scalar(select(EventRow.id).where(named, is_person(EventRow, person)))


def iter_events(store: Store, dataset: str, *, who: str | None = None) -> Iterator[Event]:
    """Yield the events of a data set in order; in constant memory."""
    last = 0
    while page := events(store, dataset, who=who, after_id=last, limit=_EVENTS_AT_ONCE):
        yield from page
        last = page[-1].id


def is_decided(state: ItemState) -> bool:
    return state.deleted or state.status in DECIDED


def item_events(session: Session, person: Person) -> list[Event]:
    """All events of one person, by revision."""
    query = select(EventRow).where(is_person(EventRow, person))
    return [event_of(row) for row in session.scalars(query.order_by(EventRow.revision))]


def counts(store: Store, dataset: str) -> Counts:
    """The progress of a data set's review; ReviewError if it is not in the store."""
    with store.snapshot(), store.reading() as session:
        if session.get(DatasetRow, dataset) is None:
            raise ReviewError(
                "the data set is not in the store",
                where=dataset[:16],
                then="Open it in the studio, or edit something in it first.",
            )
        here = in_layer(ItemRow, dataset), ItemRow.instance != FRAME, ItemRow.deleted.is_(False)
        joints = [*map(labels_from_json, session.scalars(select(ItemRow.joints).where(*here)))]
        authors = session.execute(
            select(EventRow.who, EventRow.layer, EventRow.kind, func.count())
            .where(EventRow.dataset == dataset)
            .group_by(EventRow.who, EventRow.layer, EventRow.kind)
            .order_by(EventRow.who, EventRow.layer, EventRow.kind)
        ).all()
        status, rows = by_status(store, dataset)
        empty = len(empty_frames(store, dataset))
    reviewers: dict[str, dict[str, int]] = {}
    for who, layer, kind, count in authors:
        reviewers.setdefault(who, {})[kind if layer == MAIN else f"{layer} review: {kind}"] = count
    return Counts(
        people=sum(status.values()),
        status=status,
        empty_frames=empty,
        touched=sum(n for _, _, n in rows),
        deleted=sum(n for deleted, _, n in rows if deleted),
        added=sum(n for _, added, n in rows if added),
        joints=sum(map(len, joints)),
        events=sum(count for _, layer, _, count in authors if layer == MAIN),
        reviewers=reviewers,
    )


def by_status(store: Store, dataset: str) -> tuple[dict[str, int], list[tuple[bool, bool, int]]]:
    """Status -> people, untouched ones included; (deleted, added, count) of the touched ones."""
    with store.reading() as session:
        known = session.get(DatasetRow, dataset)
        rows = session.execute(
            select(ItemRow.status, ItemRow.deleted, ItemRow.added, func.count())
            .where(in_layer(ItemRow, dataset), ItemRow.instance != FRAME)
            .group_by(ItemRow.status, ItemRow.deleted, ItemRow.added)
        ).all()
    status: Counter[str] = Counter(pending=known.people if known is not None else 0)
    for name, deleted, added, count in rows:
        status["pending"] -= 0 if added else count
        status[name] += 0 if deleted else count
    return without_zeros(status), [(deleted, added, count) for _, deleted, added, count in rows]


def without_zeros(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: count for name, count in sorted(counts.items()) if count}


def empty_frames(store: Store, dataset: str) -> set[int]:
    empty = ItemRow.instance == FRAME, ItemRow.status == NO_PEOPLE
    query = select(ItemRow.frame).where(in_layer(ItemRow, dataset), *empty)
    with store.reading() as session:
        return set(session.scalars(query))


@dataclass(frozen=True, kw_only=True)
class DueCount:
    """Undecided assignments of a reviewer: `people` of a `day`, None: no day."""

    who: str
    day: date | None
    people: int


def due_days(store: Store, dataset: str) -> list[DueCount]:
    """Undecided assignments by name and day, those without a day last."""
    row, item = AssignmentRow, ItemRow
    same = (getattr(item, key.name) == getattr(row, key.name) for key in inspect(row).primary_key)
    gone = or_(item.deleted.is_(True), item.status.in_(DECIDED))
    query = (
        select(row.who, row.due, func.count())
        .outerjoin(item, and_(*same))
        .where(in_layer(row, dataset), or_(item.frame.is_(None), ~gone))
        .group_by(row.who, row.due)
    )
    with store.reading() as session:
        found = [DueCount(who=w, day=d, people=n) for w, d, n in session.execute(query)]
    return sorted(found, key=lambda one: (one.who, one.day or date.max))


def is_overdue(day: date | None) -> bool:
    """Whether a day is over, in UTC."""
    return day is not None and day < utc_now().date()


def check_replay(store: Store, dataset: str) -> list[str]:
    """Replay all events; return a line for each mismatch with the stored items.

    Checked: revisions rise by one without gaps, each `before` is the previous state, and each
    stored item and thread equals the replay. An empty list proves consistency.
    """
    replayed: dict[Person, ItemState] = {}
    talk: dict[Person, list[Event]] = {}
    problems: list[str] = []
    with store.reading() as session:
        order = (EventRow.frame, EventRow.instance, EventRow.layer, EventRow.revision)
        query = select(EventRow).where(EventRow.dataset == dataset).order_by(*order)
        for row in session.scalars(query.execution_options(yield_per=1000)):
            event = event_of(row)
            old = replayed.get(event.person, ItemState(person=event.person))
            problems += _chain_problems(old, event)
            replayed[event.person] = apply_event(old, event)
            if is_of_thread(event):
                talk.setdefault(event.person, []).append(event)
        threads = [one for some in talk.values() for one in threads_of(some)]
        stored_threads = session.scalars(select(ThreadRow).where(ThreadRow.dataset == dataset))
        problems += wrong_rows(stored_threads, threads)
        for item in session.scalars(select(ItemRow).where(ItemRow.dataset == dataset)):
            stored = state_of(item)
            if stored != replayed.pop(stored.person, None):
                problems.append(
                    f"{_name(stored.person)}: the item differs from the replay of its events"
                )
    return problems + [f"{_name(person)}: events without an item" for person in replayed]


def _chain_problems(old: ItemState, event: Event) -> Iterator[str]:
    where = f"{_name(event.person)}, event {event.id}"
    if event.revision != old.revision + 1:
        yield f"{where}: revision {event.revision} follows {old.revision}"
    before = dict(event.before)
    expected = snapshot(old, event.after)
    for name in _COMMENT:  # a reverted comment has one before; others have none
        before.pop(name, None)
        expected.pop(name, None)
    if before != expected:
        yield f"{where}: its `before` differs from the state at that time"


def _name(person: Person) -> str:
    return f"{person.where}, layer {person.layer}"
