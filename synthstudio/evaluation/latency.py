"""Latency of a callable, independent of networks."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds a call over `rounds` calls: mean, median, 95th and 99th percentile."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    rounds: int


def latency(call: Callable[[], object], *, rounds: int = 30, warm_up: int = 3) -> Latency:
    """Time `call`, which must be synchronous, after `warm_up` uncounted calls."""
    for _ in range(warm_up):
        call()
    elapsed_s = np.empty(rounds)
    for k in range(rounds):
        start = time.perf_counter()
        call()
        elapsed_s[k] = time.perf_counter() - start
    p50, p95, p99 = (float(v) for v in np.percentile(elapsed_s, [50, 95, 99]) * 1000)
    mean_ms = float(elapsed_s.mean() * 1000)
    return Latency(mean_ms=mean_ms, p50_ms=p50, p95_ms=p95, p99_ms=p99, rounds=rounds)
