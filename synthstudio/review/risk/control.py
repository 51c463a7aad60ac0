"""How much of a set is wrong: from the control people that were looked at, and only from them.

Of the people who come first by risk far more are wrong than of all; an estimate from them would be
far too high. The control people are a random draw in a random order, so those looked at in that
order are one too. The estimate therefore takes the control people up to the first who is still
pending; who was looked at out of turn (found in the gallery, or while another held a lease before)
waits until those before are decided too.

A person counts as wrong when it was rejected or deleted, or when a reviewer changed a state or a
cause, or moved a joint by more than `tolerance` of its OKS tolerance 2 sigma sqrt(area). Flagged
and skipped people are no decision: they are left out and counted apart. The interval is Wilson's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from synthstudio.core.labels import CAUSES
from synthstudio.dataset.rows import NO_STATE
from synthstudio.review.history import states
from synthstudio.review.risk.people import PeopleTable
from synthstudio.review.risk.queue import CONTROL, control_rows, decided
from synthstudio.review.store import Store
from synthstudio.review.values import ItemState, JointLabel

TOLERANCE = 0.5
"""A move below this is a matter of taste: an OKS of 0.88 and above."""
Z_95 = 1.959963984540054


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """How much of a set is wrong. `rate`, `low` and `high` are shares of its people.

    `n` control people decided in turn, `wrong` of them; `undecided`: flagged or skipped among
    them; `waiting`: decided out of turn; `control`: how many there are. With n = 0 the rate is
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


def estimate(
    store: Store,
    table: PeopleTable,
    *,
    share: float = CONTROL,
    tolerance: float = TOLERANCE,
) -> Estimate:
    """Return the share of people whose labels are wrong, with its 95 % interval."""
    chosen = control_rows(table, share=share)
    done = decided(store, table)[chosen]
    in_turn = int(done.argmin()) if not done.all() else len(done)
    people = table.ids(chosen[:in_turn])
    found = states(store, table.key, people=people) if people else {}
    counts = dict.fromkeys(("right", "wrong", "undecided", "pending"), 0)
    for row, person in zip(chosen[:in_turn].tolist(), people, strict=True):
        verdict = judge(found.get(person), table, row, tolerance=tolerance)
        counts[verdict] += 1
        if verdict == "pending":  # taken back since we looked
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


def judge(
    state: ItemState | None, table: PeopleTable, row: int, *, tolerance: float = TOLERANCE
) -> str:
    """Return what a review says of a person's stored labels: pending, right, wrong, undecided."""
    if state is None or (state.status == "pending" and not state.deleted):
        return "pending"
    if state.deleted or state.status == "rejected":
        return "wrong"
    if state.status != "approved":
        return "undecided"
    return "wrong" if changed(state.joints, table, row, tolerance=tolerance) else "right"


def changed(
    joints: Mapping[str, JointLabel], table: PeopleTable, row: int, *, tolerance: float
) -> bool:
    """Return whether labels differ from a person's stored ones by more than taste."""
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
        if (label.x_px is None) != bool(np.isnan(x)):
            return True
        if label.x_px is not None and label.y_px is not None:
            room = tolerance * 2.0 * float(table.skeleton.sigmas[j]) * math.sqrt(area)
            if math.hypot(label.x_px - x, label.y_px - y) > max(room, 0.01):
                return True
    return False


def wilson(wrong: int, n: int, *, z: float = Z_95) -> tuple[float, float]:
    """Return Wilson's score interval of a share, `wrong` of `n`; (0, 1) when n is 0."""
    if not n:
        return 0.0, 1.0
    share = wrong / n
    middle = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
