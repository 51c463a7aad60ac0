"""F1, AUROC and calibration against values worked out by hand or by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from synthstudio.core.rng import stream
from synthstudio.evaluation import calibration
from synthstudio.evaluation.latency import latency


def test_f1_by_hand() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2])
    answer = np.array([0, 0, 1, 1, 0, 2])
    counts = calibration.confusion(truth, answer, classes=4)
    assert counts[0].tolist() == [2, 1, 0, 0]
    # class 0: precision 2/3, recall 2/3; class 1: 1/2, 1/2; class 2: 1; class 3 never occurs
    scores = calibration.f1_scores(counts)
    assert scores[:3] == pytest.approx([2 / 3, 1 / 2, 1])
    assert np.isnan(scores[3])
    assert calibration.macro_f1(counts) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # always "0": precision 3/6, recall 1 -> F1 2/3, the others 0
    assert calibration.majority_f1(counts) == pytest.approx(2 / 9)


def test_auroc_is_the_chance_of_a_right_order() -> None:
    rng = stream(1, "auroc")
    score, positive = rng.integers(0, 6, 60) / 5, rng.random(60) < 0.4
    pairs = score[positive][:, None] - score[~positive][None]
    wanted = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert calibration.auroc(score, positive) == pytest.approx(wanted, abs=1e-12)
    assert calibration.auroc(positive.astype(float), positive) == 1
    assert np.isnan(calibration.auroc(score, np.ones(60, bool)))


def test_reliability_of_one_who_is_always_right_and_one_who_is_too_sure() -> None:
    rng = stream(2, "calibration")
    output = rng.random(40_000)
    came = rng.random(40_000) < output
    assert calibration.reliability(output, came).ece < 0.01
    assert calibration.reliability(np.sqrt(output), came).ece > 0.1
    table = calibration.reliability(
        np.array([1.0, 0.0, 0.5]), np.array([True, False, True]), bins=2
    )
    assert table.count.tolist() == [1, 2]
    assert table.ece == pytest.approx((1 * 0 + 2 * 0.25) / 3)
    assert calibration.brier(np.array([1.0, 0.5]), np.array([True, False])) == pytest.approx(0.125)


def test_percentiles_are_those_of_the_calls_after_the_warm_up() -> None:
    calls: list[int] = []
    took = ((0.0, 0.001 * k) for k in range(1, 11))
    now = itertools.accumulate(itertools.chain.from_iterable(took))
    found = latency(lambda: calls.append(1), rounds=10, warm_up=4, clock=lambda: next(now))
    assert len(calls) == 14
    assert found.mean_ms == pytest.approx(5.5)
    assert found.p50_ms == pytest.approx(5.5)
    assert found.p95_ms == pytest.approx(9.55)
    assert found.rounds == 10
    with pytest.raises(ValueError, match="at least 1"):
        latency(lambda: None, rounds=0)
