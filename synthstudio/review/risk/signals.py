"""What is likely wrong with a person's labels: each check a plain function table -> Signal.

name          weight  what it finds
contradiction  0.95   state or cause that the shares or the place of a drawn joint contradict
projection     0.95   a drawn joint that is not where its 3D joint is seen
sides          0.9    left and right exchanged: by 3D, or by face, trunk and limbs in 2D (sides.py)
place          0.9    a visible joint outside the frame, joints far from the box or all at one point
bones          0.8    a bone far longer than the same bone of others, by the rest of its body
validation     0.95   findings of `synthstudio validate` that were stored (findings.py)
audit          0.9    joints on which the second oracle disagreed, stored (findings.py)
model          0.7    a predicted joint far from the labelled one (model.py)
threshold      0.25   joints about as much hidden as visible: easy to label either way
hidden         0.2    people of whom little is seen

    risk = 1 - product over checks of (1 - weight x score)

as if each were right on its own with the probability weight x score. So one sure sign outranks
many faint ones, and of two with the same sure sign the one with more doubts comes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.labels import CAUSES, SHARES
from synthstudio.core.visibility import VISIBLE_THRESHOLD, joint_states
from synthstudio.dataset.rows import NO_STATE
from synthstudio.review.risk.people import F64, I64, ORIGINS, PeopleTable, bones_of
from synthstudio.review.risk.sides import sides
from synthstudio.review.risk.signal import Signal, in_chunks, ramp, signal, worst

RENDERED = ORIGINS.index("rendered")
_SURE_PX = 0.51  # stored places are rounded nowhere; `validate` allows the same
_EDGE = 1e-6
_SAMPLE = 20_000  # people that the usual lengths of bones are learnt from
_LEAST_BONES = 4
_LEAST_PEOPLE = 30
_SHORT = 0.15  # log of the least ratio that lengths of bones are thought to vary by
_LEAST_SAID = 0.02


@dataclass(frozen=True, kw_only=True)
class Risk:
    """How likely each of P people is wrongly labelled, and what says so."""

    table: PeopleTable
    score: F64  # (P,) 0 to 1
    signals: tuple[Signal, ...]

    def reasons(self, row: int, *, most: int = 5) -> list[str]:
        """Return why a person has its score, in words, the weightiest first."""
        said = [
            (signal.weight * float(signal.score[row]), words)
            for signal in self.signals
            for words in signal.words(self.table, row)
        ]
        said = [pair for pair in said if pair[0] >= _LEAST_SAID]
        return [words for _, words in sorted(said, key=lambda pair: -pair[0])][:most]

    def by_signal(self, row: int) -> dict[str, float]:
        """Return what each check adds: name -> weight x score, those above 0."""
        found = {s.name: s.weight * float(s.score[row]) for s in self.signals}
        return {name: value for name, value in found.items() if value > 0}


def risk(table: PeopleTable, *, more: Iterable[Signal] = ()) -> Risk:
    """Return everybody's risk by all checks of the table, and `more` (stored, of models)."""
    signals = (*own_signals(table), *more)
    return Risk(table=table, score=combined(signals, table.people), signals=signals)


def own_signals(table: PeopleTable) -> tuple[Signal, ...]:
    """Return the checks that need nothing but the table."""
    checks = (contradiction, projection, sides, place, bones, threshold, hidden)
    return tuple(check(table) for check in checks)


def combined(signals: Sequence[Signal], people: int) -> F64:
    """Return (P,) the risk by the formula at the top of this file."""
    fine = np.ones(people)
    for one in signals:
        fine *= 1.0 - one.weight * one.score
    return 1.0 - fine


def contradiction(table: PeopleTable) -> Signal:
    """Drawn joints whose state or cause are not what their shares and place say."""
    people = table.people
    score, joint = np.zeros(people), np.full(people, -1)
    width, height = table.number("width"), table.number("height")
    visible, hidden_codes = CAUSES.index("visible"), [CAUSES.index(c) for c in SHARES[1:4]]
    for j in range(len(table.joints)):
        state, cause = table.arrays["state"][j], table.arrays["cause"][j]
        shares = table.arrays["shares"][j * len(SHARES) : (j + 1) * len(SHARES)]
        x, y = table.arrays["px"][2 * j : 2 * j + 2].astype(np.float64)
        with np.errstate(invalid="ignore"):
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            off_edge = np.minimum.reduce(
                [np.abs(x), np.abs(y), np.abs(x - width), np.abs(y - height)]
            )
            wanted = joint_states(shares[0], inside)
            near = np.abs(shares[0] - VISIBLE_THRESHOLD) < _EDGE
            own = np.choose(np.minimum(cause, 6), [*shares, np.full(people, np.nan), shares[0]])
            lesser = own < shares[1:4].max(axis=0) - _EDGE
        drawn = (table.arrays["origin"][j] == RENDERED) & ~np.isnan(shares[0])
        drawn &= (state != NO_STATE) & ~(off_edge < 1e-3)
        wrong = drawn & (wanted != state) & ~(near & inside & np.isin(state, (1, 2)))
        wrong |= drawn & (state == 2) & (cause != visible)
        wrong |= drawn & (state == 1) & (lesser | ~np.isin(cause, hidden_codes))
        joint = np.where(wrong & (joint < 0), j, joint)
        score = np.maximum(score, wrong)
    return signal(
        "contradiction",
        weight=0.95,
        score=score,
        joint=joint,
        text="{joint}: state or cause is not what was rendered",
    )


def projection(table: PeopleTable) -> Signal:
    """Drawn joints that are not where their 3D joints are seen."""
    sigmas = table.skeleton.sigmas[:, None]
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    for some in in_chunks(table.people):
        off = table.arrays["off_px"][:, some].astype(np.float64)
        size = np.maximum(1.0, 0.2 * sigmas * np.sqrt(table.area_px[some]))
        found = 1.0 - np.exp(-np.maximum(off - _SURE_PX, 0.0) / size)
        score[some], joint[some], value[some] = worst(found, off)
    return signal(
        "projection",
        weight=0.95,
        score=score,
        joint=joint,
        value=value,
        text="{joint}: {value:.1f} px from its true place",
    )


def place(table: PeopleTable) -> Signal:
    """Visible joints outside the frame or far from the box; all joints at one point."""
    box = table.modal_box_px
    size = np.hypot(box[:, 2], box[:, 3])
    width, height = table.number("width"), table.number("height")
    texts: dict[int, tuple[str, ...]] = {}
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    for some in in_chunks(table.people):
        x, y, known = _places(table, some)
        seen = known & (table.arrays["state"][:, some] == 2)
        with np.errstate(invalid="ignore"):
            out = np.maximum.reduce([-x, -y, x - width[some], y - height[some]])
            left, top = box[some, 0], box[some, 1]
            far = np.maximum.reduce(
                [left - x, top - y, x - left - box[some, 2], y - top - box[some, 3]]
            )
            room = np.where(size[some] > 0, 0.3 * size[some] + 4, np.inf)
        found = np.where(seen, np.maximum(ramp(out, 0.5, 2.0), ramp(far / room, 1.0, 2.0)), 0.0)
        score[some], joint[some], value[some] = worst(found, np.maximum(out, far))
        spread = np.maximum(_extent(x, known), _extent(y, known))
        point = (known.sum(axis=0) >= 4) & (spread <= np.maximum(1e-6, 0.004 * size[some]))
        score[some] = np.where(point, 1.0, score[some])
        told = ("all joints lie at one point",)
        texts |= dict.fromkeys((some.start + np.flatnonzero(point)).tolist(), told)
    return signal(
        "place",
        weight=0.9,
        score=score,
        joint=joint,
        value=value,
        texts=texts,
        text="{joint}: {value:.0f} px outside the frame or the box",
    )


def _extent(values: F64, known: np.ndarray) -> F64:
    """Return (N,) how far apart known values (J, N) lie; 0 where there are none."""
    low = np.where(known, values, np.inf).min(axis=0)
    high = np.where(known, values, -np.inf).max(axis=0)
    some = known.any(axis=0)
    return np.where(some, high, 0.0) - np.where(some, low, 0.0)


def bones(table: PeopleTable) -> Signal:
    """Bones that are too long (in 3D also too short) beside the rest of their body.

    What is usual is learnt from the set itself. A body's size is the median over its bones of
    how long each is beside the usual one, so one wrong joint does not move it. In a picture a
    bone may look short, never long.
    """
    pairs = np.array(bones_of(table.joints), np.int64).reshape(-1, 2)
    in_space = table.arrays["bone_m"]
    usual_3d, spread_3d = _usual(table, pairs, space=True)
    usual_2d, spread_2d = _usual(table, pairs, space=False)
    score, joint, value = np.zeros(table.people), np.full(table.people, -1), np.zeros(table.people)
    for some in in_chunks(table.people):
        has_3d = np.isfinite(in_space[:, some]).any(axis=0)
        found, ratio = np.zeros((len(pairs), some.stop - some.start)), np.ones(())
        logs = {True: _logs_3d(table, some), False: _logs_2d(table, pairs, some)}
        ratio = np.zeros_like(found)
        for space, usual, spread in ((True, usual_3d, spread_3d), (False, usual_2d, spread_2d)):
            over = _beside_body(logs[space], usual)
            times = (np.abs(over) if space else over) / spread[:, None]
            own = has_3d if space else ~has_3d
            found = np.where(own & np.isfinite(times), ramp(times, 1.6, 3.2), found)
            ratio = np.where(own, np.exp(over), ratio)
        score[some], bone, value[some] = worst(found, ratio)
        joint[some] = np.where(bone >= 0, pairs[bone, 1] if len(pairs) else -1, -1)
    return signal(
        "bones",
        weight=0.8,
        score=score,
        joint=joint,
        value=value,
        text="{joint}: its bone is {value:.1f} times the usual length",
    )


def _logs_3d(table: PeopleTable, some: slice | I64) -> F64:
    length = table.arrays["bone_m"][:, some].astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(length > 1e-6, np.log(length), np.nan)


def _logs_2d(table: PeopleTable, pairs: I64, some: slice | I64) -> F64:
    x, y, known = _places(table, some)
    a, b = pairs[:, 0], pairs[:, 1]
    length = np.hypot(x[a] - x[b], y[a] - y[b])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known[a] & known[b] & (length > 0.5), np.log(length), np.nan)


def _beside_body(logs: F64, usual: F64) -> F64:
    """Return (B, N) logs of lengths over what the rest of each body lets expect; NaN: unknown."""
    beside = logs - usual[:, None]
    enough = np.isfinite(beside).sum(axis=0) >= _LEAST_BONES
    size = _median(np.where(enough, beside, 0.0), axis=0)
    return np.where(enough, beside - size, np.nan)


def _usual(table: PeopleTable, pairs: I64, *, space: bool) -> tuple[F64, F64]:
    """Return (B,) the usual log of each bone's length, and how far above it is still usual.

    Infinite where fewer than _LEAST_PEOPLE tell: then no length is unusual.
    """
    step = max(1, table.people // _SAMPLE)
    rows = np.arange(0, table.people, step)
    logs = _logs_3d(table, rows) if space else _logs_2d(table, pairs, rows)
    told = np.isfinite(logs).sum(axis=1) >= _LEAST_PEOPLE
    logs = np.where(told[:, None], logs, np.nan)
    usual = np.nan_to_num(_median(logs, axis=1))
    for _ in range(3):
        over = _beside_body(logs, usual)
        usual = usual + np.nan_to_num(_median(over, axis=1))
    over = np.abs(over) if space else over
    spread = np.full(len(pairs), np.inf)
    for bone in np.flatnonzero(told):
        known = over[bone][np.isfinite(over[bone])]
        if len(known) >= _LEAST_PEOPLE:
            # Two in a hundred may be wrong already and must not widen what is usual.
            spread[bone] = max(_SHORT, 1.25 * float(np.quantile(known, 0.95)))
    return usual, spread


def _median(values: F64, axis: int) -> F64:
    """Return medians that leave NaN out; NaN where nothing else is, without a warning."""
    ordered = np.sort(values, axis=axis)  # NaN last
    counts = np.isfinite(values).sum(axis=axis, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum((counts - 1) // 2, 0), axis)
    high = np.take_along_axis(ordered, np.minimum(counts // 2, values.shape[axis] - 1), axis)
    middle = np.where(counts > 0, (low + high) / 2, np.nan)
    return middle.squeeze(axis)


def threshold(table: PeopleTable) -> Signal:
    """Joints near the line between visible and hidden: a visible share of .4 to .6, ambiguous."""
    doubt, joints = np.zeros(table.people), np.zeros(table.people)
    joint, most = np.full(table.people, -1), np.zeros(table.people)
    for j in range(len(table.joints)):
        share = table.arrays["shares"][j * len(SHARES)]
        near = np.nan_to_num(1.0 - np.abs(share - VISIBLE_THRESHOLD) / 0.1).clip(0.0, 1.0)
        own = np.maximum(near, 0.4 * table.arrays["ambiguous"][j])
        own = np.where(table.arrays["state"][j] == NO_STATE, 0.0, own)
        joint, most = np.where(own > most, j, joint), np.maximum(most, own)
        doubt += own
        joints += own > 0
    return signal(
        "threshold",
        weight=0.25,
        score=1.0 - np.exp(-doubt / 2.0),
        joint=joint,
        value=joints,
        text="{joint}{more}: about half hidden",
    )


def hidden(table: PeopleTable) -> Signal:
    """People of whom little is seen."""
    occluded = np.nan_to_num(table.occluded) * 100
    seen = np.count_nonzero(table.arrays["state"] == 2, axis=0)
    labelled = np.count_nonzero(table.arrays["state"] != NO_STATE, axis=0)
    unseen = np.where(labelled > 0, 1.0 - seen / np.maximum(labelled, 1), 0.0) * 100
    least = np.maximum(occluded, unseen)
    return signal(
        "hidden",
        weight=0.2,
        score=ramp(least, 50.0, 100.0),
        value=least,
        text="{value:.0f} % of body or joints is out of sight",
    )


def _places(table: PeopleTable, some: slice | I64) -> tuple[F64, F64, np.ndarray]:
    """Return x, y (J, N) and whether a joint has a place that somebody labelled."""
    px = table.arrays["px"][:, some].astype(np.float64)
    state = table.arrays["state"][:, some]
    x, y = px[0::2], px[1::2]
    return x, y, np.isin(state, (1, 2)) & np.isfinite(x) & np.isfinite(y)
