"""The review queue, and the estimated rate of wrong labels.

The queue is ordered by risk, with random control people inserted: a uniform sample by the data
set's key and the share; a larger share contains those of a smaller one. They are at fixed positions
of the queue, in random order, and only there: so the reviewed ones are a random sample of the set,
independent of risk, and the fraction of wrong ones is an unbiased estimate.

People of high risk are wrong far more often than average, so the estimate uses control
people only, up to the first pending one; people reviewed out of turn (found in the
gallery, or during another's lease) count when those before are decided too. A person
counts as wrong when it was rejected or deleted, or when a reviewer changed a state or a cause, or
moved a joint by more than TOLERANCE of its OKS tolerance 2 sigma sqrt(area). Flagged and skipped
people are undecided: excluded and counted separately. The interval is Wilson's.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Select, or_, select

from synthstudio.core.arrays import I64, Bool
from synthstudio.core.labels import CAUSES
from synthstudio.core.rng import stream
from synthstudio.dataset.rows import NO_STATE
from synthstudio.review.history import states
from synthstudio.review.leases import SECOND, claim, leases, release
from synthstudio.review.models import EventRow, ItemRow, in_layer
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.scores import Risk
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, ItemState, JointLabel, Pair, Person, User

CONTROL_SHARE = 0.05


@dataclass(frozen=True, kw_only=True)
class Order:
    """All people in review order. `control` (P,): by position, not row."""

    risk: Risk
    rows: I64  # (P,)
    control: Bool  # (P,)

    def reasons(self, place: int) -> list[str]:
        found = self.risk.reasons(int(self.rows[place]))
        return found or (["random sample"] if self.control[place] else [])


def control_rows(table: PeopleTable, *, share: float = CONTROL_SHARE) -> I64:
    """The rows of the control people in review order."""
    order = stream(0, "control", table.key).permutation(table.people)
    return order[: round(share * table.people)].astype(np.int64)


def risk_order(risk: Risk, *, share: float = CONTROL_SHARE, rows: I64 | None = None) -> Order:
    """The queue: by falling risk, every 1/share-th position a control person.

    `rows`: only these people (a filter, an assignment); other control people are then omitted.
    """
    table = risk.table
    chosen = control_rows(table, share=share)
    included = np.full(table.people, rows is None)
    if rows is not None:
        included[rows] = True
    is_control = np.zeros(table.people, bool)
    is_control[chosen] = True
    own = chosen[included[chosen]]
    others = np.flatnonzero(included & ~is_control)
    others = others[np.argsort(-risk.score[others], kind="stable")]
    total = len(own) + len(others)
    places = (np.arange(len(own)) * total // max(1, len(own))).astype(np.int64)
    control = np.zeros(total, bool)
    control[places] = True
    ordered = np.empty(total, np.int64)
    ordered[control], ordered[~control] = own, others
    return Order(risk=risk, rows=ordered, control=control)


def next_people(store: Store, order: Order, *, who: User, count: int = 1) -> list[Person]:
    """Lease to `who` the next undecided people of a queue, not seen in another layer."""
    table = order.risk.table
    done = decided_mask(store, table) | other_layer_mask(store, table, who=who.name, layer=MAIN)
    held = leases(store, table.key)
    held_by_user = mask_of(table, (p for p, lease in held.items() if lease.who == who.name))
    waiting = ~done & (~mask_of(table, held) | held_by_user)
    people = assigned_first(table, order.rows, waiting, held_by_user, MAIN)
    found = claim(store, people, who=who, count=count)
    now = states(store, table.key, people=[person.pair for person in found], masks=False)
    late = {now[pair].person for pair in now if now[pair].status != "pending" or now[pair].deleted}
    if late:  # decided concurrently
        release(store, [*late], who=who)
    return [person for person in found if person not in late]


def decided_mask(
    store: Store, table: PeopleTable, *, layer: str = MAIN, skipped: bool = True
) -> Bool:
    """(P,) whether a person is deleted or not pending (without `skipped`: nor skipped)."""
    open_ = ("pending",) if skipped else ("pending", "skipped")
    query = select(ItemRow.frame, ItemRow.instance).where(
        in_layer(ItemRow, table.key, layer),
        or_(ItemRow.status.not_in(open_), ItemRow.deleted),
    )
    return _mask(store, table, query)


def other_layer_mask(store: Store, table: PeopleTable, *, who: str, layer: str) -> Bool:
    """(P,) whether `who` has events of the person in another layer."""
    query = (
        select(EventRow.frame, EventRow.instance)
        .where(EventRow.dataset == table.key, EventRow.layer != layer, EventRow.who == who)
        .distinct()
    )
    return _mask(store, table, query)


def touched(store: Store, dataset: str, people: Collection[Pair], *, who: str) -> set[Pair]:
    """The people of a few with events of `who`, except second reviews."""
    query = select(EventRow.frame, EventRow.instance).where(
        EventRow.dataset == dataset,
        EventRow.layer != SECOND,
        EventRow.who == who,
        EventRow.frame.in_({frame for frame, _ in people}),
    )
    with store.reading() as session:
        return {(frame, instance) for frame, instance in session.execute(query)} & set(people)


def mask_of(table: PeopleTable, people: Iterable[Sequence[Any]]) -> Bool:
    """(P,) whether a person is among (frame, instance)."""
    found = np.zeros(table.people, bool)
    rows = table.rows_at(people)
    found[rows[rows >= 0]] = True
    return found


def _mask(store: Store, table: PeopleTable, query: Select[int, int]) -> Bool:
    found = np.zeros(table.people, bool)
    with store.reading() as session:
        for page in session.execute(query).partitions(5000):
            found |= mask_of(table, page)
    return found


def assigned_first(
    table: PeopleTable, rows: I64, waiting: Bool, own: Bool, layer: str
) -> Iterator[Person]:
    """The pending ones of `rows`, own assignments first; lazy."""
    for some in (waiting[rows] & own[rows], waiting[rows] & ~own[rows]):
        for row in rows[some]:
            frame, instance = int(table.frame[row]), int(table.instance[row])
            yield Person(dataset=table.key, frame=frame, instance=instance, layer=layer)


TOLERANCE = 0.5
"""Tolerance of moved joints, equal to an OKS of 0.88."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Estimated error rate of a set. `rate`, `low` and `high` are fractions of its people.

    `n` control people decided in turn, `wrong` of them; `undecided`: flagged or skipped among
    them; `waiting`: decided out of turn; `control`: their number. With n = 0 the rate is
    NaN and the interval 0 to 1.
    """

    n: int
    wrong: int
    rate: float
    low: float
    high: float
    undecided: int = 0
    waiting: int = 0
    control: int = 0


def estimate(store: Store, table: PeopleTable, *, share: float = CONTROL_SHARE) -> Estimate:
    """The fraction of people with wrong labels, with its 95 % interval."""
    chosen = control_rows(table, share=share)
    done = decided_mask(store, table)[chosen]
    in_turn = int(done.argmin()) if not done.all() else len(done)
    people = table.ids(chosen[:in_turn])
    found = states(store, table.key, people=people, masks=False) if people else {}
    counts = dict.fromkeys(("right", "wrong", "undecided", "pending"), 0)
    for row, person in zip(chosen[:in_turn].tolist(), people, strict=True):
        verdict = verdict_of(found.get(person), table, row)
        counts[verdict] += 1
        if verdict == "pending":  # reverted concurrently
            break
    waiting = int(done[in_turn:].sum())
    n = counts["right"] + counts["wrong"]
    low, high = wilson(counts["wrong"], n)
    return Estimate(
        n=n,
        wrong=counts["wrong"],
        rate=counts["wrong"] / n if n else math.nan,
        low=low,
        high=high,
        undecided=counts["undecided"],
        waiting=waiting,
        control=len(chosen),
    )


def verdict_of(state: ItemState | None, table: PeopleTable, row: int) -> str:
    """The verdict of a review on a person's stored labels: pending, right, wrong, undecided."""
    if state is None or (state.status == "pending" and not state.deleted):
        return "pending"
    if state.deleted or state.status == "rejected":
        return "wrong"
    if state.status != "approved":
        return "undecided"
    return "wrong" if labels_changed(state.joints, table, row) else "right"


def labels_changed(joints: Mapping[str, JointLabel], table: PeopleTable, row: int) -> bool:
    """Whether labels differ from a person's stored ones by more than TOLERANCE."""
    area = float(table.area_px[row]) if joints else 1.0
    for name, label in joints.items():
        j = table.joints.index(name)
        state = int(table.arrays["state"][j, row])
        if (NO_STATE if label.state is None else label.state) != state:
            return True
        cause = int(table.arrays["cause"][j, row])
        if label.cause != (CAUSES[cause] if cause < len(CAUSES) else None):
            return True
        x, y = (float(v) for v in table.arrays["px"][2 * j : 2 * j + 2, row])
        if (label.place is None) != math.isnan(x):
            return True
        if label.place is not None:
            room = TOLERANCE * 2.0 * float(table.skeleton.sigmas[j]) * math.sqrt(area)
            if math.dist(label.place, (x, y)) > max(room, 0.01):
                return True
    return False


def wilson(wrong: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a fraction, `wrong` of `n`; (0, 1) when n is 0."""
    from scipy.stats import binomtest  # slow to load

    if not n:
        return 0.0, 1.0
    found = binomtest(wrong, n).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
