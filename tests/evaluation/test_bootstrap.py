"""The hierarchical bootstrap: its intervals cover, and it does not mistake frames for evidence."""

from __future__ import annotations

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.evaluation.intervals import paired_interval, ratio_interval


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
