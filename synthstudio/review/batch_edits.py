"""Batch edits: edits of many people with a common client, by which they are reverted together.

One of them changes state and cause for joints of many people: preview, apply and undo.
"""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from synthstudio.core.errors import DatasetError, Refused
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.review import edits, history
from synthstudio.review.check import CAUSES_OF, Base
from synthstudio.review.edits import BaseOf
from synthstudio.review.history import in_frames
from synthstudio.review.models import EventRow, ItemRow, event_of, in_layer
from synthstudio.review.store import Store
from synthstudio.review.values import (
    HUMAN,
    Event,
    ItemState,
    JointLabel,
    Op,
    Person,
    User,
    invalid,
    numbered,
    require,
    reverted_ids,
)


def apply_all(
    store: Store,
    ops: Sequence[Op],
    who: User,
    base_of: BaseOf,
    progress: Callable[[int], object] = lambda done: None,
) -> list[Event | Refused]:
    """Apply ops in order; return for each its event or refusal.

    After a "busy" one the rest is not tried, to keep the order. `base_of` may
    raise DatasetError for people of no frame: those ops are refused as "gone". `progress` receives
    the number of tried ops after each.
    """
    done: list[Event | Refused] = []
    for op in ops:
        if done and isinstance(done[-1], Refused) and done[-1].reason == "busy":
            done.append(done[-1])
            continue
        try:
            done.append(edits.apply(store, op, who=who, base=base_of(op.person)))
        except Refused as refused:
            done.append(refused)
        except DatasetError as error:
            done.append(Refused(str(error), reason="gone"))
        progress(len(done))
    return done


def batch_events(session: Session, dataset: str, client: str) -> list[Event]:
    """The events of a batch edit in the layer main, in order."""
    mine = select(EventRow).where(in_layer(EventRow, dataset), EventRow.client == client)
    return [event_of(row) for row in session.scalars(mine.order_by(EventRow.id))]


def events_in_force(session: Session, dataset: str, client: str) -> list[Event]:
    """The events of a batch edit in force, in order."""
    events = batch_events(session, dataset, client)
    query = select(EventRow).where(in_layer(EventRow, dataset), EventRow.kind == "revert")
    reverts = in_frames(session, query, EventRow.frame, (event.person.frame for event in events))
    gone = reverted_ids(map(event_of, reverts))
    return [event for event in events if event.id not in gone]


def revert_ops(session: Session, dataset: str, client: str, again: str) -> list[Op]:
    """Ops that revert a batch edit's events in force, as a batch edit `again`."""
    ops = (
        Op(
            person=event.person,
            revision=session.get_one(ItemRow, event.person.key).revision,
            kind="revert",
            event=event.id,
        )
        for event in events_in_force(session, dataset, client)
    )
    return numbered(ops, again)


_RELABEL, FLAG = "relabel-", "flag-"
"""How clients of batch edits begin."""
Meaning = tuple[int | None, str]
"""A state and its cause, one of MEANINGS."""
MEANINGS: tuple[Meaning, ...] = tuple(
    (state, cause) for state in (STATE_VISIBLE, STATE_HIDDEN, None) for cause in CAUSES_OF[state]
)
"""Allowed targets. Whether a joint is outside follows from its position, which is kept."""


@dataclass(frozen=True, kw_only=True)
class Relabel:
    """Joints by name become `to`, if they are one of `only` now (empty: any)."""

    joints: tuple[str, ...]
    to: Meaning
    only: tuple[Meaning, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Change:
    """An op of one person, not yet `numbered`; `before`: its joints as they are now."""

    op: Op
    before: dict[str, JointLabel]


@dataclass(frozen=True, kw_only=True)
class BatchEdit:
    """An applied batch edit: author, time, number of people; how many still have it."""

    client: str
    flagged: bool
    who: str
    when: datetime
    people: int
    standing: int


def relabel_changes(
    store: Store, people: Sequence[Person], relabel: Relabel, *, base_of: BaseOf
) -> list[Change]:
    """The changes of `relabel` for people of one data set; Refused("invalid")."""
    if relabel.to not in MEANINGS or not set(relabel.only) <= {*MEANINGS}:
        expected = ", ".join(f"{state} {cause}" for state, cause in MEANINGS)
        invalid("unknown state and cause", "relabel", expected=expected, got=relabel.to)
    if not people:
        return []
    states = history.states(store, people[0].dataset, people=[person.pair for person in people])
    found = []
    for person in people:
        state, base = states.get(person.pair, ItemState(person=person)), base_of(person)
        labels = {**(base.joints or {}), **state.joints}
        before = {
            name: labels[name]
            for name in relabel.joints
            if name in labels and _changes(labels[name], relabel, base)
        }
        if before and not state.deleted:
            to, cause = relabel.to
            after = {
                name: replace(label, state=to, cause=cause, origin=HUMAN)
                for name, label in before.items()
            }
            op = Op(person=person, revision=state.revision, kind="edit", joints=after)
            found.append(Change(op=op, before=before))
    return found


def _changes(label: JointLabel, relabel: Relabel, base: Base) -> bool:
    now = (label.state, label.cause)
    if now == relabel.to or (relabel.only and now not in relabel.only):
        return False
    return relabel.to[0] is None or label.is_inside(base.width_px, base.height_px)


def relabel(
    store: Store,
    found: Sequence[Change],
    *,
    who: User,
    base_of: BaseOf,
    progress: Callable[[int], object] = lambda done: None,
) -> list[Event | Refused]:
    """Apply changes, one event per person, with a reason for each refusal: another's lease,
    or a later edit. Refused for roles that may not relabel."""
    require(who, "relabel")
    ops = numbered((change.op for change in found), f"{_RELABEL}{secrets.token_hex(8)}")
    return apply_all(store, ops, who, base_of, progress)


def batch_edits(store: Store, dataset: str, *, maximum: int = 10) -> list[BatchEdit]:
    """The last `maximum` relabellings and flaggings of a data set, newest first."""
    row = EventRow
    begins = row.client.startswith(_RELABEL) | row.client.startswith(FLAG)
    groups = (
        select(row.client, func.min(row.id), func.min(row.who), func.min(row.when), func.count())
        .where(in_layer(row, dataset), begins)
        .group_by(row.client)
        .order_by(func.min(row.id).desc())
        .limit(maximum)
    )
    with store.reading() as session:
        return [
            BatchEdit(
                client=client,
                flagged=client.startswith(FLAG),
                who=who,
                when=when,
                people=people,
                standing=len(events_in_force(session, dataset, client)),
            )
            for client, _, who, when, people in session.execute(groups).all()
        ]


def undo_batch(
    store: Store, dataset: str, client: str, *, who: User, base_of: BaseOf
) -> list[Event | Refused]:
    """Revert a change for people who still have it, with a reason for each refusal: they may have
    been edited again."""
    require(who, "relabel")
    again = f"undo-{secrets.token_hex(8)}"
    with store.reading() as session:
        ops = revert_ops(session, dataset, client, again)
    return apply_all(store, ops, who, base_of)
