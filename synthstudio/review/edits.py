"""Ops become events: each in one transaction with its item, at most once; what may be undone."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review import leases
from synthstudio.review.check import Base, check_name, checked_op, moved
from synthstudio.review.history import apply_event, item_events, snapshot
from synthstudio.review.masks import masks_after
from synthstudio.review.models import (
    DatasetRow,
    EventRow,
    ItemRow,
    PredictionRow,
    event_of,
    in_layer,
    is_person,
    state_of,
    utc_now,
)
from synthstudio.review.store import Store, count_changed
from synthstudio.review.threads import commented, is_of_thread, settled, store_threads
from synthstudio.review.values import (
    FRAME,
    HUMAN,
    ITEM_FIELDS,
    NO_PEOPLE,
    PREDICTED,
    Event,
    ItemState,
    Op,
    Person,
    User,
    invalid,
    may,
    require,
    reverted_ids,
)

_TRIES = 3
BaseOf = Callable[[Person], Base]


def apply(store: Store, op: Op, *, who: User, base: Base) -> Event:
    """Apply an op, or return its event if it was applied before.

    `base`: the person on disk. A revert makes a new event that undoes an older one of the same
    person; to redo, revert that revert. Refused, with nothing changed, for: a role that
    is too low ("role"); an invalid op ("invalid"); another's lease ("lease"); a person
    who is missing or deleted ("gone"); an item that changed since its author read it
    ("revision", with the current item); a database that is locked or full ("busy").
    """
    return apply_together(store, [op], who=who, base=base)[0]


def apply_together(store: Store, ops: Sequence[Op], *, who: User, base: Base) -> list[Event]:
    """Apply several ops on one person (in any layer) atomically."""
    check_name(who.name, "user")
    checked = []
    for op in ops:
        require(who, op.kind)
        checked.append(checked_op(op, base))
    for _ in range(_TRIES):
        # A concurrent writer may do the same.
        with suppress(IntegrityError), store.session() as session:
            return [apply_in(session, op, who=who, base=base) for op in checked]
    raise Refused(
        "the database rejected several attempts",
        where=store.url,
        then="Nothing changed. It will be sent again.",
        reason="busy",
    )


def apply_in(session: Session, op: Op, *, who: User, base: Base) -> Event:
    person = op.person
    lock_dataset(session, person.dataset)
    applied = _already_applied(session, op, who)
    if applied is not None:
        return applied
    now = utc_now()
    row = session.get(ItemRow, person.key)
    old = ItemState(person=person) if row is None else state_of(row)
    leases.check(session, person, who, now)
    if op.revision != old.revision:
        raise revision_conflict(old)
    _check_there(op, old, base)
    before, after = _change(session, op, old, base, who)
    if person.instance == FRAME:
        _check_frame_status(session, person, after, base)
    else:
        adds = _adds_person(old, after, base)
        if not base.exists:
            _check_undecided(op, old, after)
        if adds:
            _check_frame(session, person)
        if adds or (adds is not None and "track" in after):
            _check_track(session, old, after, base)
    return _write(session, op, (before, after), old, who=who.name, now=now)


def lock_dataset(session: Session, dataset: str) -> None:
    """Serialise writers of a data set, so that event ids rise in order."""
    query = select(DatasetRow.key).where(DatasetRow.key == dataset)
    if session.scalar(query.with_for_update(key_share=True)) is None:
        raise Refused(
            "the data set is not in the store",
            where=dataset[:16],
            reason="gone",
        )


def _already_applied(session: Session, op: Op, who: User) -> Event | None:
    query = select(EventRow).where(EventRow.client == op.client, EventRow.seq == op.seq)
    row = session.scalar(query)
    if row is None:
        return None
    event = event_of(row)
    same = (event.who, event.person, event.kind) == (who.name, op.person, op.kind)
    if not same or not _repeats(op, event):
        invalid(
            "client and seq were used for another op",
            f"client {op.client}, seq {op.seq}",
            expected="a new seq for a new op",
        )
    return event


def _repeats(op: Op, event: Event) -> bool:
    """Whether an op of an event's kind sets the values that the event holds."""
    after, given = cast(dict[str, Any], event.after), dict[str, Any]()
    if op.kind == "revert":
        return event.reverts == op.event
    if op.kind == "reject_prediction":
        return bool(op.text in after["rejected_models"])
    if op.kind == "status":
        given = {"status": op.status, "reason": op.text}
    elif op.kind == "comment":
        given = {"comment": op.text, "thread": op.event, "joint": op.joint}
    elif op.kind in ("resolve", "reopen"):
        given = {"thread": op.event}
    else:
        box = None if op.box is None else [float(value) for value in op.box]
        given = {"joints": None, "box": box, "track": op.track} | _joints(op)
        given |= {} if op.keyframe is None else {"keyframe": op.keyframe}
        made, drawn = after.get("masks", {}), op.masks or {}
        # A modal mask enlarges the amodal one.
        sure = [which for which in drawn if which == "modal" or "modal" not in made]
        if (not drawn and made) or any(made.get(w) != drawn[w]["counts"] for w in sure):
            return False
    return all(after.get(name) == value for name, value in given.items())


def _check_there(op: Op, old: ItemState, base: Base) -> None:
    there = base.exists or old.added or op.person.instance == FRAME
    if op.kind == "add":
        if there:
            invalid("this person already exists", op.person.where, expected="a free number")
    elif op.kind != "revert":
        if not there:
            raise Refused("no such person", where=op.person.where, reason="gone", state=old)
        if old.deleted and op.kind in ("edit", "status", "delete", "reject_prediction"):
            raise Refused("this person is deleted", where=op.person.where, reason="gone", state=old)
    if op.kind == "restore" and not old.deleted:
        invalid("only a deleted person can be restored", op.person.where, expected="a deleted one")


def _check_undecided(op: Op, old: ItemState, after: dict[str, Any]) -> None:
    """Refuse an undo that leaves a decision on a missing person, which counts would include."""
    gone = not after.get("added", old.added)
    decided = after.get("deleted", old.deleted) or after.get("status", old.status) != "pending"
    if gone and decided:
        invalid(
            "the addition of a decided person cannot be undone",
            op.person.where,
            expected="the decision or deletion undone first",
        )


def _check_frame_status(session: Session, frame: Person, after: dict[str, Any], base: Base) -> None:
    if after.get("status") != NO_PEOPLE:
        return
    found = _others(session, frame)
    there = {*base.people} | {row.instance for row in found if row.added}
    there -= {row.instance for row in found if row.deleted}
    if there:
        invalid(
            "this frame has people",
            frame.where,
            expected="a frame whose people are all deleted",
            got=sorted(there)[:10],
        )


def _adds_person(old: ItemState, after: dict[str, Any], base: Base) -> bool | None:
    """Whether a change adds a person to the frame; None: a missing person."""
    was = (base.exists or old.added) and not old.deleted
    now = (base.exists or after.get("added", old.added)) and not after.get("deleted", old.deleted)
    return not was if now else None


def _check_frame(session: Session, person: Person) -> None:
    frame = session.get(ItemRow, replace(person, instance=FRAME).key)
    if frame is not None and frame.status == NO_PEOPLE:
        invalid(
            "this frame is marked as empty",
            f"frame {person.frame}",
            expected="that mark removed first",
            got=f"empty, by {frame.who}",
        )


def _check_track(session: Session, old: ItemState, after: dict[str, Any], base: Base) -> None:
    person, track = old.person, after.get("track", old.track)
    track = base.tracks.get(person.instance) if track is None else track
    if track is None:
        return
    tracks = {number: one for number, one in base.tracks.items() if number != person.instance}
    for row in _others(session, person):
        if row.deleted or not (row.added or row.instance in base.people):
            tracks.pop(row.instance, None)
        elif row.track is not None:
            tracks[row.instance] = row.track
    other = next((number for number, one in tracks.items() if one == track), None)
    if other is not None:
        invalid(
            "two people of a frame with one track",
            person.where,
            expected="a track once in a frame",
            got=f"track {track} is person {other}",
        )


def _others(session: Session, person: Person) -> Sequence[Any]:
    """Instance, track, deleted and added of the other touched people of a frame."""
    row = ItemRow
    return session.execute(
        select(row.instance, row.track, row.deleted, row.added).where(
            in_layer(row, person.dataset, person.layer),
            row.frame == person.frame,
            row.instance.not_in((FRAME, person.instance)),
        )
    ).all()


def _change(
    session: Session, op: Op, old: ItemState, base: Base, who: User
) -> tuple[dict[str, Any], dict[str, Any]]:
    after: dict[str, Any]
    if op.kind == "revert":
        target = _to_revert(session, op, who)
        return dict(target.after), dict(target.before)
    if op.kind in ("edit", "add"):
        after = _edited(op, old, base)
    elif op.kind == "status":
        after = {"status": op.status, "reason": op.text}
    elif op.kind in ("comment", "resolve", "reopen"):
        after = commented(session, op) if op.kind == "comment" else settled(session, op)
    elif op.kind == "reject_prediction":
        _check_predicts(session, op)
        after = {"rejected_models": sorted({*(old.rejected_models or ()), op.text})}
    else:
        after = {"deleted": op.kind == "delete"}
    return snapshot(old, after), after


def _edited(op: Op, old: ItemState, base: Base) -> dict[str, Any]:
    """The values of joints, box, masks and track set by an op."""
    after = _joints(op)
    if op.box is not None:
        after["box"] = [float(value) for value in op.box]
    if op.masks is not None:
        drawn = {which: rle["counts"] for which, rle in op.masks.items()}
        after["masks"] = masks_after(drawn, old.masks, base.masks, base.size)
    if op.box is not None and "modal" in {**base.masks, **after.get("masks", old.masks or {})}:
        invalid("the box follows from a mask", "box", expected="a person without a mask")
    if op.kind == "add":
        after["added"] = True
    if op.track is not None:
        after["track"] = op.track
    by_hand = old.keyframe is False and op.kind == "edit" and _moves(op, old, base)
    if op.keyframe is not None or by_hand:
        after["keyframe"] = by_hand if op.keyframe is None else op.keyframe
    return after


def _joints(op: Op) -> dict[str, Any]:
    if not op.joints:
        return {}
    values = {
        name: asdict(label) | ({} if label.origin == PREDICTED else {"origin": HUMAN})
        for name, label in op.joints.items()
    }
    return {"joints": values}


def _moves(op: Op, old: ItemState, base: Base) -> bool:
    """Whether a joint is moved: state changes alone do not make the pose human."""
    now = {**(base.joints or {}), **old.joints}
    return any(name not in now or moved(now[name], to) for name, to in (op.joints or {}).items())


def _check_predicts(session: Session, op: Op) -> None:
    row, person = PredictionRow, op.person
    query = select(row.instance).where(
        row.dataset == person.dataset, row.layer == op.text, row.frame == person.frame
    )
    if session.scalar(query.limit(1)) is None:
        raise Refused(
            "no prediction of this model in this frame",
            where=person.where,
            got=repr(op.text)[:80],
            reason="gone",
        )


def _to_revert(session: Session, op: Op, who: User) -> Event:
    events = item_events(session, op.person)
    target = next((event for event in events if event.id == op.event), None)
    if target is None:
        invalid(
            "this person has no such event",
            "event",
            expected="an event of the same person",
            got=op.event,
        )
    if is_of_thread(target) and target.who != who.name and not may(who.role, "assign"):
        raise Refused(
            "another person's comment",
            where=f"event {target.id}",
            expected="your own, or the role lead",
            got=target.who,
            then="Answer it, or ask a lead.",
            reason="role",
        )
    gone = reverted_ids(events)
    if target.id in gone:
        invalid("already undone", f"event {target.id}", expected="one in force")
    root, puts = _root_of(target, {event.id: event for event in events})
    if not puts and root.after.get("thread") in gone:
        invalid(
            "the answered comment was undone",
            f"event {target.id}",
            expected="the thread's first comment restored first",
        )
    later = _blocking_event(events, target)
    if later is not None:
        invalid(
            "changed again later",
            f"event {target.id}",
            expected=f"event {later.id} undone first",
        )
    return target


def _write(
    session: Session,
    op: Op,
    change: tuple[dict[str, Any], dict[str, Any]],
    old: ItemState,
    *,
    who: str,
    now: datetime,
) -> Event:
    key = asdict(op.person)
    row = EventRow(
        **key,
        revision=op.revision + 1,
        kind=op.kind,
        who=who,
        when=now,
        before=change[0],
        after=change[1],
        client=op.client,
        seq=op.seq,
        reverts=op.event if op.kind == "revert" else None,
    )
    session.add(row)
    session.flush()
    event = event_of(row)
    if is_of_thread(event):
        store_threads(session, op.person)
    values = asdict(apply_event(old, event))
    del values["person"]
    if old.revision == 0:
        session.add(ItemRow(**key, **values))
        session.flush()
        return event
    same = is_person(ItemRow, op.person) & (ItemRow.revision == op.revision)
    if count_changed(session, update(ItemRow).where(same).values(**values)) != 1:
        raise revision_conflict(old)
    return event


def revision_conflict(now: ItemState) -> Refused:
    return Refused(
        "this person was changed in the meantime",
        where=now.person.where,
        got=f"revision {now.revision} by {now.who}",
        then="Reload and repeat the edit.",
        reason="revision",
        state=now,
    )


# ---- what a revert may undo

_Field = tuple[str, str | int]


def _blocking_event(events: Sequence[Event], target: Event) -> Event | None:
    """The event of the same item that must be reverted before `target`; None if none.

    `events`: all of the item. Values form one stack per field; a revert removes an event
    from its stacks, and the revert of a revert restores it. An event on its stacks can be
    reverted when it is on top of all; a revert, if the stacks are unchanged since.
    """
    by_id = {event.id: event for event in events}
    stacks: dict[_Field, tuple[int, ...]] = {}
    left: dict[_Field, tuple[int, ...]] = {}
    last: dict[_Field, Event] = {}
    reverted = reverted_ids(events)
    for event in sorted(events, key=lambda e: e.revision):
        root, puts = _root_of(event, by_id)
        for field in _fields(root):
            others = tuple(id for id in stacks.get(field, ()) if id != root.id)
            stacks[field] = (*others, root.id) if puts else others
            if event.id not in reverted:
                last[field] = event
        if event.id == target.id:
            left = dict(stacks)
    root, puts = _root_of(target, by_id)
    answers = _answers(events, reverted, root) if puts else []
    if answers:
        return answers[-1]
    for field in sorted(_fields(root)):
        free = stacks[field][-1:] == (root.id,) if puts else stacks[field] == left[field]
        if not free:
            return last[field]
    return None


def _root_of(event: Event, by_id: Mapping[int, Event]) -> tuple[Event, bool]:
    """The event that this one enables or disables, and which of the two."""
    puts = True
    while event.reverts is not None:
        event, puts = by_id[event.reverts], not puts
    return event, puts


def _fields(root: Event) -> set[_Field]:
    """The values set by a non-revert event, in separately revertible parts."""
    joints: Mapping[str, Any] = root.after.get("joints", {})  # type: ignore[assignment]
    found: set[_Field] = {("joint", name) for name in joints}
    found |= {("field", name) for name in ITEM_FIELDS if name in root.after}
    if "comment" in root.after:
        found.add(("comment", root.id))
    if "resolved" in root.after:
        found.add(("resolved", int(root.after["thread"])))  # type: ignore[call-overload]
    return found


def _answers(events: Iterable[Event], gone: Collection[int], first: Event) -> list[Event]:
    """The other events in force of a first comment's thread, oldest first."""
    return [
        event
        for event in events
        if event.reverts is None and event.id not in gone and event.after.get("thread") == first.id
    ]
