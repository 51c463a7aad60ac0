"""Ops become events: each in one transaction with the item it changes, each at most once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import CursorResult, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.review import leases
from synthstudio.review.check import Base, check_name, check_names, check_op, invalid
from synthstudio.review.history import (
    apply_event,
    blocking_events,
    event_of,
    item_events,
    label_to_json,
    reverted_ids,
    snapshot,
    state_of,
)
from synthstudio.review.models import DatasetRow, EventRow, ItemRow, utc_now
from synthstudio.review.store import Store
from synthstudio.review.values import Event, ItemState, Op, Person, User, require

_TRIES = 3
BaseOf = Callable[[Person], Base]


def apply(store: Store, op: Op, *, who: User, base: Base) -> Event:
    """Do what an op says, or return the event that it made when it was said before.

    `base`: the person on disk. A revert makes a new event that takes an older one of the same
    person back; to redo, revert that revert. Refused, with nothing changed, for: a role that
    may not ("role"); an op that makes no sense ("invalid"); another's lease ("lease"); a person
    who is not there or deleted ("gone"); an item that changed since its author saw it
    ("revision", with the item as it is now); a database that is locked or full ("busy").
    """
    return apply_together(store, [op], who=who, base=base)[0]


def apply_together(store: Store, ops: Sequence[Op], *, who: User, base: Base) -> list[Event]:
    """Do several ops on one person (in any of its layers) as one: all of them or none.

    Refused as by `apply`.
    """
    check_name(who.name, "user")
    for op in ops:
        check_names(op)
        require(who, op.kind)
        check_op(op, base)
    for _ in range(_TRIES):
        try:
            with store.session() as session:
                return [_apply(session, op, who=who, base=base) for op in ops]
        except IntegrityError:  # somebody did the same between our look and our writing
            continue
    raise Refused(
        "the database took none of several tries",
        where=store.url,
        then="Nothing changed. It will be sent again.",
        reason="busy",
    )


def apply_all(store: Store, ops: Sequence[Op], who: User, base_of: BaseOf) -> list[Event | Refused]:
    """Do ops in their order; return for each its event, or why not.

    After one that was "busy" none is tried any more, so that their order stays. `base_of` may
    raise DatasetError for people of no frame: those ops are refused as "gone".
    """
    done: list[Event | Refused] = []
    for op in ops:
        if done and isinstance(done[-1], Refused) and done[-1].reason == "busy":
            done.append(done[-1])
            continue
        try:
            check_names(op)
            done.append(apply(store, op, who=who, base=base_of(op.person)))
        except Refused as refused:
            done.append(refused)
        except DatasetError as error:
            done.append(Refused(str(error), reason="gone"))
    return done


def _apply(session: Session, op: Op, *, who: User, base: Base) -> Event:
    person = op.person
    _queue_up(session, person)
    told = _said_before(session, op, who)
    if told is not None:
        return told
    now = utc_now()
    row = session.get(ItemRow, (person.dataset, person.frame, person.instance, person.layer))
    old = ItemState(person=person) if row is None else state_of(row)
    leases.check(session, person, who, now)
    if op.revision != old.revision:
        raise _changed(old)
    _check_there(op, old, base)
    before, after = _change(session, op, old)
    return _write(session, op, (before, after), old, who=who.name, now=now)


def _queue_up(session: Session, person: Person) -> None:
    """Let one writer at a time into a data set, so that ids of events rise as they happen.

    SQLite's transaction has the whole store already.
    """
    query = select(DatasetRow.key).where(DatasetRow.key == person.dataset)
    if session.scalar(query.with_for_update(key_share=True)) is None:
        raise Refused(
            "the store does not know this data set",
            where=person.dataset[:16],
            reason="gone",
        )


def _said_before(session: Session, op: Op, who: User) -> Event | None:
    query = select(EventRow).where(EventRow.client == op.client, EventRow.seq == op.seq)
    row = session.scalar(query)
    if row is None:
        return None
    event = event_of(row)
    if event.who != who.name or event.person != op.person or event.kind != op.kind:
        invalid(
            "this op was another one before",
            f"client {op.client}, seq {op.seq}",
            expected="a new seq for a new op",
        )
    return event


def _check_there(op: Op, old: ItemState, base: Base) -> None:
    there = base.exists or old.added
    if op.kind == "add":
        if there:
            invalid("there is such a person already", _where(op.person), expected="a free number")
    elif op.kind != "revert":
        if not there:
            raise _gone("there is no such person", op.person, old)
        if old.deleted and op.kind in ("edit", "status", "delete"):
            raise _gone("this person is deleted", op.person, old)
    if op.kind == "restore" and not old.deleted:
        invalid(
            "only a deleted person can be restored", _where(op.person), expected="a deleted one"
        )


def _change(session: Session, op: Op, old: ItemState) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return before and after of the event."""
    after: dict[str, Any]
    if op.kind == "revert":
        target = _to_revert(session, op)
        return dict(target.after), dict(target.before)
    if op.kind in ("edit", "add"):
        human = {name: replace(label, origin="human") for name, label in op.joints.items()}
        after = {"joints": {name: label_to_json(label) for name, label in human.items()}}
        if op.kind == "add":
            after["added"] = True
    elif op.kind == "status":
        after = {"status": op.status, "reason": op.text}
    elif op.kind == "comment":
        after = {"comment": op.text}
    else:
        after = {"deleted": op.kind == "delete"}
    return snapshot(old, after), after


def _to_revert(session: Session, op: Op) -> Event:
    events = item_events(session, op.person)
    target = next((event for event in events if event.id == op.event), None)
    if target is None:
        invalid(
            "this person has no such event",
            "event",
            expected="an event of the same person",
            got=op.event,
        )
    if target.id in reverted_ids(events):
        invalid("this was taken back already", f"event {target.id}", expected="one that holds")
    later = blocking_events(events, target)
    if later:
        invalid(
            "the same was changed again later",
            f"event {target.id}",
            expected=f"event {later[-1].id} to be taken back first",
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
    """Write the event and the item it leads to; they are committed together."""
    person = op.person
    key = {
        "dataset": person.dataset,
        "frame": person.frame,
        "instance": person.instance,
        "layer": person.layer,
    }
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
    values = _columns(apply_event(old, event))
    if old.revision == 0:
        session.add(ItemRow(**key, **values))
        session.flush()
        return event
    there = [getattr(ItemRow, name) == value for name, value in key.items()]
    done = session.execute(
        update(ItemRow).where(*there, ItemRow.revision == op.revision).values(**values)
    )
    assert isinstance(done, CursorResult)
    if done.rowcount != 1:
        raise _changed(old)
    return event


def _columns(state: ItemState) -> dict[str, Any]:
    return {
        "revision": state.revision,
        "status": state.status,
        "reason": state.reason,
        "joints": {name: label_to_json(label) for name, label in state.joints.items()},
        "deleted": state.deleted,
        "added": state.added,
        "who": state.who,
        "when": state.when,
        "comments": state.comments,
    }


def _changed(now: ItemState) -> Refused:
    return Refused(
        "somebody changed this person meanwhile",
        where=_where(now.person),
        got=f"revision {now.revision} by {now.who}",
        then="Look again and do it anew.",
        reason="revision",
        state=now,
    )


def _gone(what: str, person: Person, now: ItemState) -> Refused:
    return Refused(what, where=_where(person), reason="gone", state=now)


def _where(person: Person) -> str:
    return f"frame {person.frame}, person {person.instance}"
