"""Ex-OKS AP against a slow reckoning that shares no line with it, and what it must tell."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from test_metrics import BONES, answers
from test_precision import a_truth

from synthstudio.core.rng import stream
from synthstudio.evaluation.metrics import compute_metrics, extended_truth
from synthstudio.evaluation.precision import Presence, Truth, average_precision
from synthstudio.evaluation.storage import Predictions


def a_case(seed: int) -> tuple[Truth, np.ndarray, np.ndarray, Presence]:
    """Return people with windows that cut many of their joints off."""
    truth, answer, score = a_truth()
    rng = stream(seed, "beyond")
    low = truth.box[:, :2] + truth.box[:, 2:] * rng.uniform(0, 0.2, (40, 2))
    high = truth.box[:, :2] + truth.box[:, 2:] * rng.uniform(0.7, 1.1, (40, 2))
    window = np.concatenate([low, high], 1)
    inside = ((truth.xy >= low[:, None]) & (truth.xy < high[:, None])).all(-1)
    known = truth.known.copy()
    known[7] = False
    claimed = np.where(rng.random(inside.shape) < 0.85, inside, ~inside)
    return (
        dataclasses.replace(truth, known=known),
        answer,
        score,
        Presence(window=window, inside=inside, claimed=claimed),
    )


def to_edge(x: float, y: float, window: np.ndarray) -> float:
    x0, y0, x1, y1 = window
    return max(0.0, min(x - x0, x1 - x, y - y0, y1 - y))


def likeness(truth: Truth, answer: np.ndarray, beyond: Presence, a: int, p: int) -> float:
    """Return the Ex-OKS of answer `a` with person `p`, joint by joint."""
    found = []
    for j in range(17):
        if not truth.known[p, j]:
            continue
        (x, y), (u, v), window = answer[a, j], truth.xy[p, j], beyond.window[p]
        placed = window[0] <= x < window[2] and window[1] <= y < window[3]
        output, really = bool(beyond.claimed[a, j]) and placed, bool(beyond.inside[p, j])
        if output and really:
            d = math.hypot(x - u, y - v)
        elif output:
            d = to_edge(x, y, window)
        elif really:
            d = to_edge(u, v, window)
        else:
            d = 0.0
        k = 2 * BONES.sigmas[j]
        found.append(math.exp(-d * d / (2 * truth.area[p] * k * k)))
    return sum(found) / len(found)


def slow_ap(truth: Truth, answer: np.ndarray, score: np.ndarray, beyond: Presence) -> float:
    """Return AP: greedy matching by falling score, 101 recalls, ten thresholds."""
    people = [p for p in range(40) if truth.known[p].any()]
    total = 0.0
    for step in range(10):
        level, taken, right = 0.5 + 0.05 * step, set(), []
        for a in sorted(people, key=lambda a: -score[a]):
            best, who = level, None
            for p in people:
                if truth.image[p] == truth.image[a] and p not in taken:
                    alike = likeness(truth, answer, beyond, a, p)
                    if alike >= best:
                        best, who = alike, p
            taken.add(who)
            right.append(who is not None)
        hits = [sum(right[: k + 1]) for k in range(len(right))]
        for r in range(101):
            reached = [
                hits[m] / (m + 1)
                for m in range(len(right))
                if hits[m] / len(people) >= r / 100 - 1e-12
            ]
            total += max(reached, default=0.0)
    return total / 1010


@pytest.mark.parametrize("seed", [1, 2])
def test_ap_equals_the_slow_one(seed: int) -> None:
    truth, answer, score, beyond = a_case(seed)
    outside = truth.known & ~beyond.inside
    assert outside.sum() > 60
    found = average_precision(truth, answer, score, sigmas=BONES.sigmas, presence=beyond)["AP"]
    assert found == pytest.approx(slow_ap(truth, answer, score, beyond), abs=1e-6)
    plain = average_precision(truth, answer, score, sigmas=BONES.sigmas)["AP"]
    assert 0.1 < found < 0.9 and abs(found - plain) > 0.02


def test_where_an_outside_joint_truly_is_does_not_matter() -> None:
    truth, answer, score, beyond = a_case(3)
    blank = np.where(beyond.inside[..., None], truth.xy, np.nan)
    known = average_precision(truth, answer, score, sigmas=BONES.sigmas, presence=beyond)
    unknown = average_precision(
        dataclasses.replace(truth, xy=blank), answer, score, sigmas=BONES.sigmas, presence=beyond
    )
    assert known == pytest.approx(unknown, nan_ok=True)


def cut_off(claims: float) -> Predictions:
    """Return perfect answers about people whose left half the picture does not show.

    `claims`: the chance given for a joint to lie in it where it does not.
    """
    made = answers(hidden_error=0, seen_error=0)
    out = made.true_xy[..., 0] < 50
    return dataclasses.replace(
        made,
        state=np.where(out, 0, made.state).astype(np.uint8),
        known=made.known & ~out,
        window=np.tile([50.0, -9, 109, 109], (40, 1)),
        present=np.where(out, claims, 0.9),
        # Nobody sees them, so they are put at a place well inside.
        xy=np.where(out[..., None], [80.0, 50.0], made.true_xy),
    )


def test_saying_that_a_joint_is_outside_is_rewarded() -> None:
    reported = {claims: compute_metrics(cut_off(claims), BONES)["beyond"] for claims in (0.1, 0.9)}
    outside = int((cut_off(0.1).state == 0).sum())
    assert reported[0.1]["joints_outside"] == reported[0.9]["joints_outside"] == outside > 100
    assert reported[0.1]["said"]["AP"] == 1
    assert reported[0.9]["said"]["AP"] < 0.3
    for same in (reported[0.1]["never_outside"], reported[0.9]["never_outside"]):
        assert same == pytest.approx(reported[0.9]["said"], nan_ok=True)
    assert reported[0.1]["AUROC"] == 1 and reported[0.9]["AUROC"] == 0.5


def test_a_network_without_a_word_on_presence_claims_everything() -> None:
    made = cut_off(0.1)
    silent = dataclasses.replace(made, present=np.full_like(made.present, np.nan))
    _, beyond = extended_truth(silent)
    assert beyond.claimed.all()
    found = compute_metrics(silent, BONES)["beyond"]
    assert found["said"] == pytest.approx(found["never_outside"], nan_ok=True)
    assert np.isnan(found["AUROC"])


def test_unlabelled_joints_do_not_count() -> None:
    made = cut_off(0.1)
    some = dataclasses.replace(made, state=np.where(made.state == 0, 255, made.state))
    assert compute_metrics(some, BONES)["beyond"]["joints_outside"] == 0
