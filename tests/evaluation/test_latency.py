"""Latency with a clock that the test winds."""

from __future__ import annotations

import itertools

import pytest

from synthstudio.evaluation.latency import latency


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


def test_no_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        latency(lambda: None, rounds=0)
