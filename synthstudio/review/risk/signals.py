"""Checks of single joints, a score and a reason for every person; anatomy.py has the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F64, I64
from synthstudio.core.labels import ORIGINS, SHARES
from synthstudio.core.visibility import VISIBLE_THRESHOLD
from synthstudio.dataset.rows import NO_STATE
from synthstudio.quality.people import at_one_point
from synthstudio.quality.rows import contradicted, wrong_causes
from synthstudio.review.risk.people import PeopleTable

F32 = NDArray[np.float32]
I16 = NDArray[np.int16]
NO_JOINT = -1
RENDERED = ORIGINS.index("rendered")
CHECKS = {
    "contradiction": (0.95, "{joint}: state or cause is not what was rendered"),
    "projection": (0.95, "{joint}: {value:.1f} px from its true place"),
    "sides": (0.9, "{joint}: left and right seem swapped"),
    "place": (0.9, "{joint}: {value:.0f} px outside the frame or the box"),
    "bones": (0.8, "{joint}: its bone is {value:.1f} times the usual length"),
    "validation": (0.95, ""),
    "audit": (0.9, ""),
    "model": (0.7, "{joint}: a model sees it elsewhere ({value:.1f} times the tolerance)"),
    "rejected": (0.7, ""),
    "threshold": (0.25, "{joint}{more}: about half hidden"),
    "hidden": (0.2, "{value:.0f} % of body or joints is out of sight"),
}
"""Probability of a wrong label at score 1, and the text of a score; see scores.py."""
_TOLERANCE_PX = 0.51  # stored positions are not rounded; as in `validate`
_EDGE = 1e-3  # positions are 32-bit floats


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Scores of one check for P people.

    `score` (P,) from 0 (nothing) to 1 (certain); `weight`: probability of a wrong
    label at score 1. `joint` (P,): the joint concerned, -1 for none; `value` (P,): the number that
    `text` explains, as in "{joint}: {value:.0f} px away"; "{more}": " and 2 more" if it counts
    joints. `texts`: row -> custom text.
    """

    name: str
    weight: float
    text: str = ""
    score: F32
    joint: I16
    value: F32
    texts: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def words(self, table: PeopleTable, row: int) -> tuple[str, ...]:
        """The reason for a person's score; "" if the score is 0."""
        if not self.score[row] > 0:
            return ()
        if row in self.texts:
            return self.texts[row]
        joint = int(self.joint[row])
        name = readable(table.joints[joint]) if joint >= 0 else "a joint"
        value = float(self.value[row])
        more = f" and {value - 1:.0f} more" if value >= 2 else ""
        return (self.text.format(joint=name, value=value, more=more),)


def readable(joint: str) -> str:
    return joint.replace("_", " ")


def signal(
    name: str,
    score: F64,
    joint: NDArray[np.integer] | None = None,
    value: F64 | None = None,
    texts: Mapping[int, tuple[str, ...]] | None = None,
) -> Signal:
    """Make a signal of one of CHECKS; NaN scores are 0, others are clipped to 0..1."""
    clipped = np.clip(np.nan_to_num(score, nan=0.0, posinf=1.0, neginf=0.0), 0.0, 1.0)
    people = len(clipped)
    weight, text = CHECKS[name]
    return Signal(
        name=name,
        weight=weight,
        text=text,
        score=clipped.astype(np.float32),
        joint=np.full(people, NO_JOINT, np.int16) if joint is None else joint.astype(np.int16),
        value=np.zeros(people, np.float32) if value is None else value.astype(np.float32),
        texts=texts or {},
    )


def worst(scores: F64, values: F64) -> tuple[F64, NDArray[np.int64], F64]:
    """The largest of scores (J, P) over joints, which joint it is, and its value."""
    if not len(scores):
        nothing = np.zeros(scores.shape[1])
        return nothing, np.full(scores.shape[1], NO_JOINT, np.int64), nothing
    known = np.nan_to_num(scores, nan=0.0)
    joint = known.argmax(axis=0)
    columns = np.arange(scores.shape[1])
    return known[joint, columns], joint, np.nan_to_num(values[joint, columns])


def ramp(values: F64, start: float, stop: float) -> F64:
    """0 up to `start`, 1 from `stop`, straight between; NaN is 0."""
    return np.clip((np.nan_to_num(values, nan=start) - start) / (stop - start), 0.0, 1.0)


def in_chunks(people: int, size: int = 65_536) -> list[slice]:
    """Slices that cover all people: float64 of many planes is in memory for one at a time."""
    return [slice(start, min(start + size, people)) for start in range(0, people, size)]


def contradiction(table: PeopleTable) -> Signal:
    """Drawn joints whose state or cause contradicts their shares and position."""
    size = np.stack([table.number("width"), table.number("height")], axis=1)[:, None]
    score, joint = np.zeros(table.people), np.full(table.people, NO_JOINT)
    for some in in_chunks(table.people):
        state, shares = table.state[some].astype(np.int64), table.shares[some]
        px, cause = table.joints_px[some].astype(np.float64), table.cause[some].astype(np.int64)
        _, wrong = contradicted(state, shares, px, size[some], edge=_EDGE)
        wrong |= np.logical_or(*wrong_causes(state, cause, shares))
        wrong &= table.arrays["origin"][:, some].T == RENDERED
        wrong &= ~np.isnan(shares[..., 0]) & (state != NO_STATE)
        score[some] = wrong.any(axis=1)
        joint[some] = np.where(score[some] > 0, wrong.argmax(axis=1), NO_JOINT)
    return signal("contradiction", score, joint)


def projection(table: PeopleTable) -> Signal:
    """Drawn joints away from their 3D joints' projections."""
    sigmas = table.skeleton.sigmas[:, None]
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    for some in in_chunks(table.people):
        error = table.arrays["off_px"][:, some].astype(np.float64)
        size = np.maximum(1.0, 0.2 * sigmas * np.sqrt(table.area_px[some]))
        found = 1.0 - np.exp(-np.maximum(error - _TOLERANCE_PX, 0.0) / size)
        score[some], joint[some], value[some] = worst(found, error)
    return signal("projection", score, joint, value)


def position(table: PeopleTable) -> Signal:
    """Visible joints outside the frame or far from the box; all joints at one point."""
    box = table.modal_box_px[:, None]
    size = np.hypot(box[:, 0, 2], box[:, 0, 3])
    room = np.where(size > 0, 0.3 * size + 4, np.inf)[:, None]
    frame = np.stack([table.number("width"), table.number("height")], axis=1)[:, None]
    texts: dict[int, tuple[str, ...]] = {}
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    for some in in_chunks(table.people):
        px, state = table.joints_px[some].astype(np.float64), table.state[some]
        known = np.isin(state, (1, 2)) & np.isfinite(px).all(axis=2)
        out = np.maximum(-px, px - frame[some]).max(axis=2)
        low, sides = box[some, :, :2], box[some, :, 2:]
        far = np.maximum(low - px, px - low - sides).max(axis=2)
        doubt = np.maximum(ramp(out, 0.5, 2.0), ramp(far / room[some], 1.0, 2.0))
        found = np.where(known & (state == 2), doubt, 0.0)
        score[some], joint[some], value[some] = worst(found.T, np.maximum(out, far).T)
        point, _ = at_one_point(px, known, size[some])
        score[some] = np.where(point, 1.0, score[some])
        text = ("all joints lie at one point",)
        texts |= dict.fromkeys((some.start + np.flatnonzero(point)).tolist(), text)
    return signal("place", score, joint, value, texts)


def threshold(table: PeopleTable) -> Signal:
    """Joints near the visibility threshold: a visible share of .4 to .6, ambiguous."""
    doubt, joints = np.zeros(table.people), np.zeros(table.people)
    joint, maximum = np.full(table.people, -1), np.zeros(table.people)
    for j in range(len(table.joints)):
        share = table.arrays["shares"][j * len(SHARES)]
        near = np.nan_to_num(1.0 - np.abs(share - VISIBLE_THRESHOLD) / 0.1).clip(0.0, 1.0)
        own = np.maximum(near, 0.4 * table.arrays["ambiguous"][j])
        own = np.where(table.arrays["state"][j] == NO_STATE, 0.0, own)
        joint, maximum = np.where(own > maximum, j, joint), np.maximum(maximum, own)
        doubt += own
        joints += own > 0
    return signal("threshold", 1.0 - np.exp(-doubt / 2.0), joint, joints)


def hidden(table: PeopleTable) -> Signal:
    """People mostly hidden."""
    occluded = np.nan_to_num(table.occluded) * 100
    seen = np.count_nonzero(table.arrays["state"] == 2, axis=0)
    labelled = np.count_nonzero(table.arrays["state"] != NO_STATE, axis=0)
    unseen = np.where(labelled > 0, 1.0 - seen / np.maximum(labelled, 1), 0.0) * 100
    minimum = np.maximum(occluded, unseen)
    return signal("hidden", ramp(minimum, 50.0, 100.0), value=minimum)


def labelled_px(table: PeopleTable, some: slice | I64) -> tuple[F64, F64, np.ndarray]:
    """x, y (J, N) and whether a joint has a labelled position."""
    px = table.arrays["px"][:, some].astype(np.float64)
    state = table.arrays["state"][:, some]
    x, y = px[0::2], px[1::2]
    return x, y, np.isin(state, (1, 2)) & np.isfinite(x) & np.isfinite(y)
