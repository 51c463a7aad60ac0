"""How long an answer takes. What is timed is a callable, so that this needs no network."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Milliseconds of a call over `rounds` calls; half of them took `p50_ms` at most."""

    mean_ms: float
    p50_ms: float
    p95_ms: float
    rounds: int


def latency(
    call: Callable[[], object],
    *,
    rounds: int = 30,
    warm_up: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> Latency:
    """Time `call`, which must only return once its answer is there. ValueError for no rounds.

    `warm_up` calls come first and are not counted: they allocate and choose kernels.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    for _ in range(warm_up):
        call()
    took = np.empty(rounds)
    for k in range(rounds):
        begun = clock()
        call()
        took[k] = clock() - begun
    p50, p95 = np.percentile(took, [50, 95]) * 1000
    return Latency(
        mean_ms=float(took.mean() * 1000), p50_ms=float(p50), p95_ms=float(p95), rounds=rounds
    )
