"""Margins over the bars: real ones exclude zero, chance ones do not, groups count as one."""

from __future__ import annotations

import numpy as np
import pytest
from test_measure import BONES, answers

from synthstudio.core.rng import stream
from synthstudio.evaluation.margins import auroc_over, f1_over_majority, over_groups
from synthstudio.evaluation.measure import measure

N = 1200
RNG = stream(4, "margins")
SEEN = RNG.random(N) < 0.6
GROUP = np.arange(N) // 10
CHANCE = RNG.random((2, N))


def test_a_real_margin_excludes_zero_and_chance_does_not() -> None:
    knows = np.where(SEEN, 0.3, 0.0) + CHANCE[0]
    real = auroc_over(knows, CHANCE[1], SEEN, GROUP, seed=1)
    assert real.low > 0.1 and real.low < real.value < real.high
    assert not auroc_over(CHANCE[0], CHANCE[1], SEEN, GROUP, seed=1).excludes_zero
    same = auroc_over(knows, knows, SEEN, GROUP, seed=1)
    assert same.value == same.low == same.high == 0


def test_causes_beat_the_majority_only_when_known() -> None:
    truth = RNG.choice(3, N, p=[0.7, 0.2, 0.1])
    guess = np.where(RNG.random(N) < 0.7, truth, RNG.integers(0, 3, N))
    assert f1_over_majority(truth, guess, GROUP, classes=3, seed=1).low > 0.2
    majority = f1_over_majority(truth, np.zeros(N, int), GROUP, classes=3, seed=1)
    assert majority.value == 0 and not majority.excludes_zero


def test_rows_of_one_group_are_no_more_than_one() -> None:
    values = np.repeat(RNG.normal(size=N // 10), 10)

    def width(group: np.ndarray) -> float:
        found = over_groups(lambda rows: float(values[rows].mean()), group, seed=1)
        return found.high - found.low

    assert width(GROUP) > 2 * width(np.arange(N))


def test_nothing_is_nothing() -> None:
    none = np.zeros(0)
    found = auroc_over(none, none, none > 0, none.astype(int), seed=1)
    assert np.isnan([found.value, found.low, found.high]).all()


def test_they_stand_among_the_figures() -> None:
    told = measure(answers(), BONES)["visibility"]
    assert told["AUROC_over_peak"]["value"] == pytest.approx(0.5)
    assert told["AUROC_over_peak"]["low"] == pytest.approx(0.5)
    assert told["cause_F1_over_majority"]["value"] == 0  # only one cause occurs
