"""The hierarchical bootstrap: its intervals cover, and it does not mistake frames for evidence."""

from __future__ import annotations

import numpy as np
import pytest
from test_metrics import BONES, answers

from synthstudio.core.rng import stream
from synthstudio.evaluation.intervals import (
    auroc_margin,
    majority_margin,
    paired_interval,
    ratio_interval,
)
from synthstudio.evaluation.metrics import compute_metrics


def test_value_is_the_plain_ratio() -> None:
    hits = np.array([[3.0, 1.0], [2.0, 0.0]])
    counts = np.array([[4.0, 2.0], [4.0, 2.0]])
    found = ratio_interval(hits, counts, seed=1, rounds=200)
    assert found.value == pytest.approx(0.5)
    assert found.low < 0.5 < found.high
    assert ratio_interval(hits, counts, seed=1, rounds=200) == found


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = stream(11, "cover")
    inside = 0
    for run in range(120):
        chance = 0.5 + rng.normal(0, 0.1, (1, 80))
        counts = np.full((1, 80), 20.0)
        hits = rng.binomial(20, chance.clip(0, 1)).astype(float)
        found = ratio_interval(hits, counts, seed=run, rounds=300)
        inside += found.low <= 0.5 <= found.high
    assert 0.88 <= inside / 120 <= 0.99


def test_pairing_tells_what_single_intervals_cannot() -> None:
    rng = stream(12, "paired")
    counts = np.full((5, 60), 20.0)
    hard = rng.uniform(0.2, 0.8, (1, 60)) + rng.normal(0, 0.02, (5, 60))  # groups differ a lot
    theirs = (20 * hard).round()
    ours = theirs + (rng.random((5, 60)) < 0.8)  # one joint better in most groups
    found = paired_interval((ours, counts), (theirs, counts), seed=3, rounds=500)
    assert found.value == pytest.approx(0.04, abs=0.01)
    assert found.excludes_zero
    alone = ratio_interval(ours, counts, seed=3, rounds=500)
    assert alone.high - alone.low > found.high - found.low
    same = paired_interval((theirs, counts), (theirs, counts), seed=3, rounds=200)
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_one_lucky_seed_does_not_convince() -> None:
    counts = np.full((5, 50), 20.0)
    theirs = np.full((5, 50), 10.0)
    ours = theirs.copy()
    ours[0] += 6  # only the first of five runs is better
    assert not paired_interval((ours, counts), (theirs, counts), seed=5, rounds=800).excludes_zero


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one shape"):
        paired_interval(
            (np.ones((2, 3)), np.ones((2, 3))), (np.ones((2, 4)), np.ones((2, 4))), seed=1
        )


N = 1200
RNG = stream(4, "margins")
SEEN = RNG.random(N) < 0.6
GROUP = np.arange(N) // 10
CHANCE = RNG.random((2, N))


def test_a_real_margin_excludes_zero_and_chance_does_not() -> None:
    knows = np.where(SEEN, 0.3, 0.0) + CHANCE[0]
    real = auroc_margin(knows, CHANCE[1], SEEN, GROUP, seed=1)
    assert real.difference.low > 0.1
    assert real.ours.low < real.ours.value < real.ours.high
    assert real.difference.value == pytest.approx(real.ours.value - real.baseline.value)
    assert real.baseline.low < 0.5 < real.baseline.high
    assert not auroc_margin(CHANCE[0], CHANCE[1], SEEN, GROUP, seed=1).difference.excludes_zero
    same = auroc_margin(knows, knows, SEEN, GROUP, seed=1).difference
    assert same.value == same.low == same.high == 0


def test_a_paired_margin_is_narrower_than_two_apart() -> None:
    knows = np.where(SEEN, 0.3, 0.0) + CHANCE[0]
    better = np.where(SEEN, 0.4, 0.0) + CHANCE[0]  # right and wrong about the same joints
    found = auroc_margin(better, knows, SEEN, GROUP, seed=1)
    apart = (found.ours.high - found.ours.low) + (found.baseline.high - found.baseline.low)
    assert found.difference.high - found.difference.low < 0.4 * apart
    assert found.difference.low > 0


def test_causes_beat_the_majority_only_when_known() -> None:
    truth = RNG.choice(3, N, p=[0.7, 0.2, 0.1])
    guess = np.where(RNG.random(N) < 0.7, truth, RNG.integers(0, 3, N))
    real = majority_margin(truth, guess, GROUP, classes=3, seed=1)
    assert real.difference.low > 0.2
    assert real.baseline.value == pytest.approx(
        2 * (truth == 0).mean() / (1 + (truth == 0).mean()) / 3
    )
    majority = majority_margin(truth, np.zeros(N, int), GROUP, classes=3, seed=1).difference
    assert majority.value == 0 and not majority.excludes_zero


def test_rows_of_one_group_are_no_more_than_one() -> None:
    # Ten copies of each row, drawn as one group or apart.
    score, seen = np.repeat(CHANCE[0][:120], 10), np.repeat(SEEN[:120], 10)

    def width(group: np.ndarray) -> float:
        found = auroc_margin(score, score, seen, group, seed=1).ours
        return found.high - found.low

    assert width(GROUP) > 2 * width(np.arange(N))


def test_nothing_is_nothing() -> None:
    none = np.zeros(0)
    found = auroc_margin(none, none, none > 0, none.astype(int), seed=1)
    for one in (found.ours, found.baseline, found.difference):
        assert np.isnan([one.value, one.low, one.high]).all()


def test_they_stand_among_the_figures() -> None:
    reported = compute_metrics(answers(), BONES)["visibility"]
    for bar in ("peak", "mass"):
        assert reported[f"AUROC_over_{bar}"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert reported["cause_F1_over_majority"]["value"] == 0  # only one cause occurs
