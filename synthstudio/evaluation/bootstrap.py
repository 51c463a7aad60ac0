"""Intervals of paired differences: which seeds, then which groups of frames, drawn anew.

Frames of one group show the same people, and runs of one seed share their luck, so neither may
be drawn one by one: the hierarchical bootstrap draws seeds first, then whole groups. All seeds
are tested on the same groups, so one draw of groups holds for all drawn seeds: drawing them
apart would average out what the choice of the test set alone decides.

No draw reaches beyond the seeds that there are: with 2 to 4 of them the intervals are too
narrow (`few_seeds`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.rng import stream

F64 = NDArray[np.float64]
ENOUGH_SEEDS = 5


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A value and the percentile interval in which 95 % of the drawn ones lie."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Return whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def text(self, *, scale: float = 100, digits: int = 1) -> str:
        """Return it as "+3.1 (1.2 to 5.0)"."""
        value, low, high = (scale * v for v in (self.value, self.low, self.high))
        return f"{value:+.{digits}f} ({low:+.{digits}f} to {high:+.{digits}f})"


def few_seeds(seeds: int) -> str:
    """Return what must be said of intervals over 2 to 4 seeds, or nothing."""
    if not 1 < seeds < ENOUGH_SEEDS:
        return ""
    return (
        f"Only {seeds} seeds: no draw reaches beyond them, so the intervals are too narrow. "
        f"Take {ENOUGH_SEEDS} or more."
    )


def drawings(
    seeds: int, groups: int, *, seed: int, rounds: int
) -> Iterator[tuple[NDArray[np.int64], F64]]:
    """Yield what each round draws: seeds (S,) with repetition, how often each group counts (G,).

    How often is enough: no copies of rows.
    """
    rng = stream(seed, "bootstrap")
    for _ in range(rounds):
        chosen = np.asarray(rng.integers(0, seeds, seeds), np.int64)
        weight = np.bincount(rng.integers(0, groups, groups), minlength=groups)
        yield chosen, weight.astype(np.float64)


def ratio_interval(hits: F64, counts: F64, *, seed: int, rounds: int = 2000) -> Interval:
    """Return hits / counts over all, with an interval. Both (S, G): seeds by groups of frames.

    `counts` may be 0 where a group has nothing to count; S = 1 draws groups alone.
    """
    return _interval([(hits, counts)], seed=seed, rounds=rounds)


def paired_interval(
    ours: tuple[F64, F64], theirs: tuple[F64, F64], *, seed: int, rounds: int = 2000
) -> Interval:
    """Return ours minus theirs, each (hits, counts) of (S, G), drawn alike."""
    return _interval([ours, theirs], seed=seed, rounds=rounds)


def _interval(sides: list[tuple[F64, F64]], *, seed: int, rounds: int) -> Interval:
    shape = sides[0][0].shape
    for hits, counts in sides:
        if hits.shape != shape or counts.shape != shape:
            raise ValueError("sides of a paired comparison must have one shape (seeds, groups)")
    seeds, groups = shape
    if not all(counts.sum() for _, counts in sides):
        nothing = float("nan")
        return Interval(value=nothing, low=nothing, high=nothing)
    draws = drawings(seeds, groups, seed=seed, rounds=rounds)
    drawn = np.array([_difference(sides, chosen, weight) for chosen, weight in draws])
    everything = np.arange(seeds, dtype=np.int64)
    value = _difference(sides, everything, np.ones(groups))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))


def _difference(sides: list[tuple[F64, F64]], chosen: NDArray[np.int64], weight: F64) -> float:
    ratios = []
    for hits, counts in sides:
        below = (counts[chosen] * weight).sum()
        ratios.append((hits[chosen] * weight).sum() / below if below else np.nan)
    return float(ratios[0] - ratios[1] if len(ratios) == 2 else ratios[0])
