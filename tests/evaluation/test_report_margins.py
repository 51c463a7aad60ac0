"""Margins over the bars: real ones exclude zero, chance ones do not, groups count as one."""

from __future__ import annotations

import numpy as np
import pytest
from test_metrics import BONES, answers

from synthstudio.core.rng import stream
from synthstudio.evaluation.intervals import auroc_margin, majority_margin
from synthstudio.evaluation.metrics import compute_metrics

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
