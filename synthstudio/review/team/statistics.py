"""Agreement of two reviewers by joint, and throughput of each reviewer.

Distances between two positions are measured as in OKS, against sqrt(area) and the joint's
sigma. If each of two errs by s, they differ by s sqrt(2), so

    spread = sqrt(mean(d^2 / area) / 2) / sigma

is the error of one reviewer in units of sigma: 1 equals the annotators of COCO's sigmas.
Joints that neither changed count as agreed.

Deleting a person counts for the verdict (right or wrong) like rejecting it, for any status
before. Joints of people deleted by either review are ignored.

Throughput is decided people per hour of work. Events of a reviewer at most MAX_PAUSE apart form one
session, from its first to its last event. The time before the first event is unknown, so a decision
that opens a session counts as done, but not for throughput. A person counts once a day for
throughput, and once in total among those decided: on the day of the reviewer's last decision.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import numpy as np
from sqlalchemy import and_, or_, select

from synthstudio.core.arrays import F64, I64
from synthstudio.core.labels import CAUSES
from synthstudio.dataset.rows import NO_STATE
from synthstudio.review.history import DECIDED, DECIDING
from synthstudio.review.models import EventRow, in_layer
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.queue import TOLERANCE
from synthstudio.review.store import Store
from synthstudio.review.team.second_review import ReviewPair, pairs, reviewed_by
from synthstudio.review.values import FRAME, ItemState, Pair


@dataclass(frozen=True, kw_only=True)
class Kappa:
    """Agreement of two raters on `n` items. `counts[a, b]`: the first chose a, the second b.

    `value`: 1 is full agreement, 0 chance level, below 0 less. NaN without
    items, or if both always chose the same one.
    """

    value: float
    n: int
    agreed: int
    counts: I64


def kappa(counts: I64) -> Kappa:
    """Cohen's kappa of a square table of counts; its rows are the first rater's answers."""
    n, agreed = int(counts.sum()), int(np.trace(counts))
    value = math.nan
    if n:
        observed = agreed / n
        by_chance = float((counts.sum(axis=1) * counts.sum(axis=0)).sum()) / n**2
        value = (observed - by_chance) / (1 - by_chance) if by_chance < 1 else math.nan
    return Kappa(value=value, n=n, agreed=agreed, counts=counts)


STATES = ("outside", "hidden", "visible", "unlabelled")
_CODES = {0: 0, 1: 1, 2: 2, NO_STATE: 3}
_OF_STATE, _OF_CAUSE, _OF_STATUS = 0.8, 0.5, 0.9


@dataclass(frozen=True, kw_only=True)
class JointAgreement:
    """Two reviews of one joint (or all, `joint` ""). `n`: people with the joint located in both.

    `spread`: see above, NaN where n is 0; `oks`: the mean OKS between the two.
    """

    joint: str
    n: int
    spread: float
    oks: float
    state: Kappa
    cause: Kappa


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """Agreement over `people` reviewed twice. `verdict`: on approving or rejecting them."""

    people: int
    joints: tuple[JointAgreement, ...]
    overall: JointAgreement
    verdict: Kappa


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """A differing pair: amount (0 to 1), joints."""

    pair: ReviewPair
    score: float
    joints: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """The labels of J joints in N reviews, those left as on disk included."""

    px: F64  # (N, J, 2) NaN where unknown
    state: I64  # (N, J) indices into STATES
    cause: I64  # (N, J) indices into CAUSES


def gather_annotations(table: PeopleTable, found: Iterable[tuple[int, ItemState]]) -> Annotations:
    """Labels of people: their rows in the table with the edits of `found` (row, state) applied."""
    listed = list(found)
    rows = np.array([row for row, _ in listed], np.int64)
    px = table.joints_px[rows].astype(np.float64)
    state = table.state[rows].astype(np.int64)
    cause = table.cause[rows].astype(np.int64)
    places = {name: j for j, name in enumerate(table.joints)}
    unknown = CAUSES.index("unlabelled")
    state = np.select([state == value for value in _CODES], list(_CODES.values()), 3)
    cause = np.where(cause < len(CAUSES), cause, unknown)
    for k, (_, item) in enumerate(listed):
        for name, label in item.joints.items():
            if name in places:
                j = places[name]
                px[k, j] = math.nan if label.place is None else label.place
                state[k, j] = 3 if label.state is None else _CODES[label.state]
                cause[k, j] = CAUSES.index(label.cause)
    return Annotations(px=px, state=state, cause=cause)


def agreement(store: Store, table: PeopleTable) -> Agreement:
    return agreement_of(table, list(pairs(store, table)))


def agreement_of(table: PeopleTable, both: list[ReviewPair]) -> Agreement:
    kept = [p for p in both if not _either_deleted(p)]
    a, b, off = _compared(table, kept)
    joints = tuple(
        _joint(name, off[:, j : j + 1], a, b, slice(j, j + 1))
        for j, name in enumerate(table.joints)
    )
    overall = _joint("", off, a, b, slice(None))
    counts = np.zeros((2, 2), np.int64)
    for pair in both:
        if not (_is_flagged(pair.first) or _is_flagged(pair.second)):
            counts[_verdict(pair.first), _verdict(pair.second)] += 1
    return Agreement(people=len(both), joints=joints, overall=overall, verdict=kappa(counts))


def disagreements(store: Store, table: PeopleTable, *, by: str | None = None) -> list[Disagreement]:
    """Pairs that differ by more than TOLERANCE and await a lead, worst first.

    `by`: only those that this lead may adjudicate.
    """
    own = set() if by is None else reviewed_by(store, table.key, by)
    both = [p for p in pairs(store, table) if not p.adjudicated]
    both = [p for p in both if p.first.person.pair not in own]
    a, b, off = _compared(table, both)
    # Half of it is in units of OKS's 2 sigma.
    found = (_differs(table, pair, k, a, b, off[k] / 2.0) for k, pair in enumerate(both))
    listed = [one for one in found if one is not None]
    return sorted(listed, key=lambda one: (-one.score, one.pair.first.person.pair))


def _differs(
    table: PeopleTable, pair: ReviewPair, k: int, a: Annotations, b: Annotations, off: F64
) -> Disagreement | None:
    first, second = pair.first, pair.second
    verdicts = _verdict(first) != _verdict(second) or first.deleted != second.deleted
    amounts = {
        name: amount
        for j, name in enumerate(() if _either_deleted(pair) else table.joints)
        if (amount := _joint_difference(k, j, a, b, float(off[j])))
    }
    parts = [*([_OF_STATUS] if verdicts else []), *amounts.values()]
    if not parts:
        return None
    return Disagreement(
        pair=pair,
        score=1.0 - math.prod(1 - p for p in parts),
        joints=tuple(amounts),
    )


def _joint_difference(k: int, j: int, a: Annotations, b: Annotations, off: float) -> float:
    """Amount of two reviews' difference at a joint; 0 if equal."""
    if a.state[k, j] != b.state[k, j]:
        return _OF_STATE
    if a.cause[k, j] != b.cause[k, j]:
        return _OF_CAUSE
    return 1.0 - math.exp(-0.5 * off**2) if off > TOLERANCE else 0.0


def _compared(table: PeopleTable, both: list[ReviewPair]) -> tuple[Annotations, Annotations, F64]:
    """First and second reviews, and the (N, J) distances between them over sigma sqrt(area); NaN if
    one is missing."""
    a = gather_annotations(table, [(p.row, p.first) for p in both])
    b = gather_annotations(table, [(p.row, p.second) for p in both])
    rows = np.array([p.row for p in both], np.int64)
    apart = np.hypot(*np.moveaxis(a.px - b.px, 2, 0))
    placed = np.isin(a.state, (1, 2)) & np.isin(b.state, (1, 2))
    scale = table.skeleton.sigmas * np.sqrt(table.area_px[rows])[:, None]
    return a, b, np.where(placed, apart / scale, np.nan)


def _joint(name: str, off: F64, a: Annotations, b: Annotations, some: slice) -> JointAgreement:
    known = off[np.isfinite(off)]
    spread = math.sqrt(float((known**2).mean()) / 2) if len(known) else math.nan
    oks = float(np.exp(-0.5 * (known / 2) ** 2).mean()) if len(known) else math.nan
    return JointAgreement(
        joint=name,
        n=len(known),
        spread=spread,
        oks=oks,
        state=kappa(_counts(a.state[:, some], b.state[:, some], len(STATES))),
        cause=kappa(_counts(a.cause[:, some], b.cause[:, some], len(CAUSES))),
    )


def _counts(a: I64, b: I64, size: int) -> I64:
    flat = np.bincount((a * size + b).ravel(), minlength=size * size)
    return flat.reshape(size, size).astype(np.int64)


def _either_deleted(pair: ReviewPair) -> bool:
    return pair.first.deleted or pair.second.deleted


def _is_flagged(state: ItemState) -> bool:
    return state.status == "flagged" and not state.deleted


def _verdict(state: ItemState) -> int:
    """0: the person is kept; 1: deleted."""
    return int(state.deleted or state.status == "rejected")


MAX_PAUSE = timedelta(minutes=5)
"""Maximum pause between two events within a session."""
MIN_LOOK = timedelta(milliseconds=300)
"""Minimum interval of single decisions: faster ones are batch decisions, without throughput."""
MIN_ACTIVE = timedelta(minutes=1)


@dataclass(kw_only=True)
class Throughput:
    """A reviewer's day. `per_hour`: NaN below a minute of work; `active`: without pauses.

    `people`: decided, and not by this reviewer on a later day; `decided`: each person decided, and
    whether the last decision counts in `per_hour`; `first` and `last`: start and end of work, with
    pauses.
    """

    who: str
    day: date
    first: datetime
    last: datetime
    people: int = 0
    events: int = 0
    active: timedelta = timedelta()
    decided: dict[tuple[int, int, str], bool] = field(default_factory=dict)

    @property
    def active_h(self) -> float:
        return self.active / timedelta(hours=1)

    @property
    def paced(self) -> int:
        return sum(self.decided.values())

    @property
    def per_hour(self) -> float:
        return self.paced / self.active_h if self.active >= MIN_ACTIVE else math.nan


def throughput(store: Store, key: str) -> list[Throughput]:
    """Reviewers' throughputs by day (UTC) and name."""
    row = EventRow
    decision = and_(row.kind == "status", row.after["status"].as_string().in_(DECIDED))
    decides = or_(row.kind == "delete", decision)
    query = select(row.who, row.when, decides, row.frame, row.instance, row.layer)
    query = query.where(row.dataset == key).order_by(row.id)
    with store.reading() as session:
        return throughputs(session.execute(query.execution_options(yield_per=5000)))


def throughputs(events: Iterable[tuple[str, datetime, bool, int, int, str]]) -> list[Throughput]:
    """Throughputs of events in order: who, when, whether they decide, and the person's frame,
    number, layer."""
    days: dict[tuple[date, str], Throughput] = {}
    last: dict[str, datetime] = {}
    decided: dict[str, datetime] = {}
    counted: dict[tuple[str, tuple[int, int, str]], Throughput] = {}
    for who, when, decides, frame, instance, layer in events:
        local = when.astimezone(UTC).date()
        new = Throughput(who=who, day=local, first=when, last=when)
        day = days.setdefault((local, who), new)
        day.events, day.last = day.events + 1, when
        working = who in last and timedelta() <= when - last[who] <= MAX_PAUSE
        if working:
            day.active += when - last[who]
        last[who] = when
        if decides and instance != FRAME:
            at_once = who in decided and when - decided[who] < MIN_LOOK
            day.decided[frame, instance, layer] = working and not at_once
            decided[who] = when
            counted[who, (frame, instance, layer)] = day
    for day in counted.values():
        day.people += 1
    return [day for _, day in sorted(days.items())]


def decided_by_day(store: Store, key: str) -> Counter[tuple[date, str]]:
    """(day in UTC, reviewer) -> people of the layer main: each once, by the last decision."""
    last: dict[Pair, tuple[date, str]] = {}
    states: dict[Pair, tuple[str, bool]] = {}
    row = EventRow
    query = select(row.frame, row.instance, row.who, row.when, row.after)
    query = query.where(in_layer(row, key), row.kind.in_(DECIDING))
    with store.reading() as session:
        for frame, instance, who, when, after in session.execute(query.order_by(row.id)):
            if instance == FRAME or not {"status", "deleted"} & set(after):
                continue
            status, deleted = states.get((frame, instance), ("pending", False))
            now = after.get("status", status), bool(after.get("deleted", deleted))
            states[frame, instance] = now
            if now[1] or now[0] in DECIDED:
                last[frame, instance] = (when.astimezone(UTC).date(), who)
            else:
                last.pop((frame, instance), None)
    return Counter(last.values())


def total_per_hour(found: Iterable[Throughput]) -> float:
    """People per hour over several days, NaN where no day has a minute of work."""
    known = [pace for pace in found if math.isfinite(pace.per_hour)]
    hours = sum(pace.active_h for pace in known)
    return sum(pace.paced for pace in known) / hours if hours else math.nan
