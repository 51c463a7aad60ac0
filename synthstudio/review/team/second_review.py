"""Blind second reviews of a sample of the people, and adjudication of differences.

    layer main      labels of the first reviewer, finally those of the adjudication
    layer second    labels of another reviewer, blind to the first one's labels and status
    layer adjudicated   a lead's record of the comparison and choice

The sample is uniform, by the data set's key and the share; a larger share
contains those of a smaller one. The second reviewer starts from the data set's own labels. Only
`begin_second_reviews` grants leases of the layer second, not to reviewers of the person in the
layer main, and writing to that layer needs a lease.
"""

import secrets
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal

import numpy as np
from sqlalchemy import select

from synthstudio.core.arrays import I64, Bool
from synthstudio.core.errors import Refused
from synthstudio.core.rng import stream
from synthstudio.review.check import Base, is_share
from synthstudio.review.edits import apply_together, revision_conflict
from synthstudio.review.history import apply_event, is_decided, item_events, state, states
from synthstudio.review.leases import ADJUDICATED, SECOND, claim, leases
from synthstudio.review.models import EventRow, SettingRow
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.queue import (
    CONTROL_SHARE,
    assigned_first,
    decided_mask,
    mask_of,
    other_layer_mask,
    touched,
)
from synthstudio.review.store import Store
from synthstudio.review.threads import THREAD_KINDS
from synthstudio.review.values import (
    FRAME,
    MAIN,
    Event,
    ItemState,
    JointLabel,
    Op,
    Pair,
    Person,
    Status,
    User,
    invalid,
    may,
    require,
)

SECOND_SHARE = 0.1
_CLIENT = "adjudicate-"
Share = Literal["second_share", "control_share"]
_DEFAULTS: dict[Share, float] = {"second_share": SECOND_SHARE, "control_share": CONTROL_SHARE}


@dataclass(frozen=True, kw_only=True)
class ReviewPair:
    """Both reviews of one person. `first` is the state before adjudication (`adjudicated`)."""

    row: int
    first: ItemState
    second: ItemState
    adjudicated: bool


@dataclass(frozen=True, kw_only=True)
class Decision:
    """The choice of a lead: `joints` over the first review's (over the second's if only the first
    one deleted the person), and `status`; or the person is deleted. `text`: the reason.
    """

    joints: Mapping[str, JointLabel] = field(default_factory=dict)
    status: Status = "approved"
    text: str = ""
    deleted: bool = False


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Progress of a second pass, in people: of the sample, reviewed once, twice, decided."""

    chosen: int
    once: int
    twice: int
    adjudicated: int


def share_of(store: Store, dataset: str, name: Share) -> float:
    """The configured share of a data set's people, or the default; 0 to 1."""
    with store.reading() as session:
        row = session.get(SettingRow, (dataset, name))
        value = _DEFAULTS[name] if row is None else row.value
    return float(value) if is_share(value) else _DEFAULTS[name]


def set_share(store: Store, dataset: str, name: Share, share: float, *, by: User) -> None:
    """Choose a share. Refused: "role", "invalid"."""
    require(by, "assign")
    if not is_share(share):
        invalid("not a share", name, expected="0 to 1", got=share)
    with store.session() as session:
        session.merge(SettingRow(dataset=dataset, key=name, value=float(share)))


def second_review_rows(table: PeopleTable, *, share: float = SECOND_SHARE) -> I64:
    """The rows of the people to be reviewed twice, in a random order."""
    return _random_order(table.key, table.people)[: round(share * table.people)].copy()


@lru_cache(8)
def _random_order(key: str, people: int) -> I64:
    """All rows in the random order of a data set; cached, since pages need it at every edit."""
    return stream(0, "second pass", key).permutation(people).astype(np.int64)


def begin_second_reviews(
    store: Store, table: PeopleTable, *, who: User, count: int = 1, share: float = SECOND_SHARE
) -> list[Person]:
    """Lease to `who` the next people for a second review, decided on by others."""
    rows = second_review_rows(table, share=share)
    open_to = _open_to(store, table, who)
    own = mask_of(table, leases(store, table.key, layer=SECOND, who=who.name))
    people = assigned_first(table, rows, open_to, own, SECOND)
    return claim(store, people, who=who, count=count)


def blinded(store: Store, table: PeopleTable, *, who: User, share: float = SECOND_SHARE) -> Bool:
    """(P,) whether the layer main is withheld from `who`: the second review is open."""
    if may(who.role, "adjudicate"):
        return np.zeros(table.people, bool)
    return _chosen(table, share) & _open_to(store, table, who)


def _chosen(table: PeopleTable, share: float) -> Bool:
    found = np.zeros(table.people, bool)
    found[second_review_rows(table, share=share)] = True
    return found


def _open_to(store: Store, table: PeopleTable, who: User) -> Bool:
    """(P,) whether one review is decided, and not by `who`."""
    once, twice = (decided_mask(store, table, layer=n, skipped=False) for n in (MAIN, SECOND))
    return once & ~twice & ~other_layer_mask(store, table, who=who.name, layer=SECOND)


def blinded_among(
    store: Store,
    table: PeopleTable,
    people: Collection[Pair],
    *,
    who: User,
    share: float = SECOND_SHARE,
) -> set[Pair]:
    """Those of a few (frame, instance) who are `blinded`; a frame is if any person in it is."""
    if may(who.role, "adjudicate") or not people:
        return set()
    chosen = _chosen(table, share)
    whole = {pair for pair in people if pair[1] == FRAME}
    beside = np.isin(table.frame, [frame for frame, _ in whole])
    pairs = [*{*people, *table.ids(np.flatnonzero(beside & chosen))}]
    found = {pair for row, pair in table.placed(pairs) if chosen[row]}
    for layer, decided_there in ((MAIN, True), (SECOND, False)):
        if found:
            now = states(store, table.key, layer=layer, people=sorted(found), masks=False)
            found = {
                pair for pair in found if (pair in now and is_decided(now[pair])) == decided_there
            }
    found -= touched(store, table.key, found, who=who.name) if found else set()
    frames = {frame for frame, _ in found}
    return (found & {*people}) | {pair for pair in whole if pair[0] in frames}


def progress(store: Store, table: PeopleTable, *, share: float = SECOND_SHARE) -> Progress:
    rows = second_review_rows(table, share=share)
    once, twice = (
        decided_mask(store, table, layer=layer, skipped=False)[rows] for layer in (MAIN, SECOND)
    )
    return Progress(
        chosen=len(rows),
        once=int(once.sum()),
        twice=int((once & twice).sum()),
        adjudicated=int((once & twice & decided_mask(store, table, layer=ADJUDICATED)[rows]).sum()),
    )


def pairs(store: Store, table: PeopleTable) -> Iterator[ReviewPair]:
    """Yield people with both reviews decided, in the order of the data set."""
    second = {key: s for key, s in states(store, table.key, layer=SECOND).items() if is_decided(s)}
    people = sorted(second)
    main = states(store, table.key, people=people)
    marks = states(store, table.key, layer=ADJUDICATED, people=people)
    for row, key in table.placed(people):
        if key not in main:
            continue
        first = _first_review(store, main[key]) if key in marks else main[key]
        if is_decided(first):
            yield ReviewPair(row=row, first=first, second=second[key], adjudicated=key in marks)


def adjudicate(
    store: Store, person: Person, decision: Decision, *, revision: int, who: User, base: Base
) -> list[Event]:
    """Adjudicate two reviews; the layer main then has the lead's choice.

    `person`: of the layer main, at `revision` as read by the lead. A joint returned to the value on
    disk is written with origin human. Atomic; Refused: "role" (also for authors of one of the two
    reviews), "revision" (also for the second of two clicks), "invalid" if there are no two reviews.
    """
    require(who, "adjudicate")
    if person.pair in reviewed_by(store, person.dataset, who.name):
        raise Refused(
            "one of the two reviews is your own",
            where=person.where,
            expected="a lead without a review of this person",
            then="Leave the decision to another lead.",
            reason="role",
        )
    main, second, marked = (
        state(store, replace(person, layer=layer)) for layer in (MAIN, SECOND, ADJUDICATED)
    )
    if not main.revision or not is_decided(second) or person.layer != MAIN:
        invalid("not reviewed twice", person.where, expected="two reviewers who decided")
    first = _first_review(store, main) if marked.revision else main
    ops = _adjudication(main, first, second, decision, base)
    client = f"{_CLIENT}{secrets.token_hex(12)}"
    if not ops and revision != main.revision:
        raise revision_conflict(main)
    all_ops = [
        Op(client=client, seq=k, person=person, revision=revision + k, **values)  # type: ignore[arg-type]
        for k, values in enumerate(ops)
    ]
    mark = Op(
        client=client,
        seq=len(ops),
        person=replace(person, layer=ADJUDICATED),
        kind="status",
        revision=marked.revision,
        status="approved",
        text="own",
    )
    return apply_together(store, [*all_ops, mark], who=who, base=base)


def reviewed_by(store: Store, dataset: str, who: str) -> set[Pair]:
    """(frame, instance) of edited or decided people, without adjudications."""
    row = EventRow
    query = select(row.frame, row.instance).where(
        row.dataset == dataset,
        row.who == who,
        row.layer.in_((MAIN, SECOND)),
        row.kind.not_in(THREAD_KINDS),
        ~row.client.startswith(_CLIENT),
    )
    with store.reading() as session:
        return {(frame, instance) for frame, instance in session.execute(query.distinct())}


def _adjudication(
    main: ItemState, first: ItemState, second: ItemState, decision: Decision, base: Base
) -> list[dict[str, object]]:
    kept = second if first.deleted and not second.deleted else first
    ops: list[dict[str, object]] = []
    if decision.deleted:  # a deletion has no reason field: use a comment
        if decision.text.strip():
            ops.append({"kind": "comment", "text": decision.text})
        return ops if main.deleted else [*ops, {"kind": "delete"}]
    if main.deleted:
        ops.append({"kind": "restore"})
    if labels := _changes(main, {**kept.joints, **decision.joints}, base):
        ops.append({"kind": "edit", "joints": labels})
    return [*ops, {"kind": "status", "status": decision.status, "text": decision.text}]


def _changes(
    main: ItemState, joints: Mapping[str, JointLabel], base: Base
) -> dict[str, JointLabel]:
    """The joints to write so that the layer main has exactly these changes."""
    on_disk = base.joints or {}
    found: dict[str, JointLabel] = {}
    for name in dict.fromkeys([*main.joints, *joints]):
        new, old = joints.get(name, on_disk.get(name)), main.joints.get(name)
        if new is not None and (old is None or replace(new, origin=old.origin) != old):
            found[name] = new
    return found


def _first_review(store: Store, main: ItemState) -> ItemState:
    """The layer main of an adjudicated person before a lead first decided."""
    found = ItemState(person=main.person)
    with store.reading() as session:
        decided = item_events(session, replace(main.person, layer=ADJUDICATED))[0].id
        for event in item_events(session, main.person):
            if event.id > decided or event.client.startswith(_CLIENT):
                break
            found = apply_event(found, event)
    return found
