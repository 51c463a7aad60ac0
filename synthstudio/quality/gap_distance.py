"""Distance of two samples in plain units, and its chance level.

Numbers are compared by Wasserstein-1: the mean distance that mass has to move, in the number's
unit (Villani 2009, ch. 6; in one dimension the area between the two distribution functions).
Categories by total variation: half the sum of differences of frequencies, the fraction of people
who would have to change category. Chance: pictures are shuffled SHUFFLES times, as many
to each as before (a permutation test over pictures, since people of one picture are correlated); a
distance above all of them has p < 1/200.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.core.rng import stream

SHUFFLES = 200
BINS = 24
MIN = 5
"""Minimum number of values per side."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Values of n people with their pictures (or moments)."""

    values: F64
    group: I64

    def finite(self) -> Sample:
        kept = np.isfinite(self.values)
        return Sample(values=self.values[kept], group=self.group[kept])


@dataclass(frozen=True, kw_only=True, eq=False)
class Difference:
    """One figure of both sides. `fields`: recipe fields that affect it.

    `distance` and `chance` are NaN if a side has fewer than MIN values. `middle`: of
    (generated, photos) the median, for whole numbers the mean, as in `middle_is`; `low`, `high`:
    10th and 90th percentile. `fractions` (2, BINS) with `edges`
    (BINS + 1): values beyond the ends are in the last bins.
    """

    key: str
    name: str
    unit: str
    fields: tuple[str, ...]
    count: tuple[int, int]
    middle_is: str
    middle: tuple[float, float]
    low: tuple[float, float]
    high: tuple[float, float]
    distance: float
    chance: float
    spread: float  # pooled standard deviation
    edges: F64
    fractions: F64

    @property
    def beyond_chance(self) -> bool:
        return self.distance > self.chance

    @property
    def effect(self) -> float:
        """The distance in pooled standard deviations."""
        return self.distance / self.spread if self.spread > 0 else 0.0

    @property
    def shift(self) -> float:
        """Difference of medians, photos less generated."""
        return self.middle[1] - self.middle[0]


def difference(
    key: str,
    name: str,
    unit: str,
    fields: Sequence[str],
    sides: tuple[Sample, Sample],
    *,
    whole: bool = False,
) -> Difference:
    """Compare two samples; `whole`: one bin per whole number."""
    a, b = (side.finite() for side in sides)
    both = np.concatenate([a.values, b.values])
    enough = min(len(a.values), len(b.values)) >= MIN
    edges = _edges(both, whole)
    return Difference(
        key=key,
        name=name,
        unit=unit,
        fields=tuple(fields),
        count=(len(a.values), len(b.values)),
        middle_is="mean" if whole else "median",
        middle=_of_both(a, b, np.mean if whole else np.median),
        low=_of_both(a, b, lambda values: np.percentile(values, 10)),
        high=_of_both(a, b, lambda values: np.percentile(values, 90)),
        distance=wasserstein(a.values, b.values) if enough else np.nan,
        chance=_chance(a, b, key) if enough else np.nan,
        spread=float(both.std()) if len(both) else 0.0,
        edges=edges,
        fractions=np.stack([_histogram(side.values, edges) for side in (a, b)]),
    )


def wasserstein(a: F64, b: F64) -> float:
    values = np.concatenate([a, b])
    weights = np.concatenate([np.full(len(a), 1 / len(a)), np.full(len(b), -1 / len(b))])
    order = np.argsort(values, kind="stable")
    return float(np.abs(np.cumsum(weights[order])[:-1]) @ np.diff(values[order]))


def total_variation(a: F64, b: F64) -> float:
    return float(np.abs(a - b).sum() / 2)


def deals(groups: I64, first: int, key: str) -> Bool:
    """(SHUFFLES, G) random assignment of groups to the first side, `first` of them each time."""
    rng = stream(0, "gap", key)
    out = np.zeros((SHUFFLES, len(groups)), np.bool_)
    for row in out:
        row[rng.permutation(len(groups))[:first]] = True
    return out


def _chance(a: Sample, b: Sample, key: str) -> float:
    values = np.concatenate([a.values, b.values])
    step = int(a.group.max()) + 1
    names, group = np.unique(np.concatenate([a.group, b.group + step]), return_inverse=True)
    order = np.argsort(values, kind="stable")
    gaps, group = np.diff(values[order]), group[order]
    maximum = 0.0
    for dealt in deals(names, int((names < step).sum()), key):
        inside = dealt[group]
        n = int(inside.sum())
        if 0 < n < len(values):
            weights = np.where(inside, 1 / n, -1 / (len(values) - n))
            maximum = max(maximum, float(np.abs(np.cumsum(weights)[:-1]) @ gaps))
    return maximum


def kinds_chance(counts: tuple[F64, F64], key: str) -> F64:
    """Greatest total variation of all shuffles, of (G, J, K) counts a group of each side: (J,)."""
    both = np.concatenate(counts)
    maximum = np.zeros(both.shape[1])
    for dealt in deals(np.arange(len(both)), len(counts[0]), key):
        sums = [both[which].sum(axis=0) for which in (dealt, ~dealt)]
        totals = [s.sum(axis=1, keepdims=True) for s in sums]
        fractions = [s / np.maximum(t, 1) for s, t in zip(sums, totals, strict=True)]
        known = (totals[0] > 0)[:, 0] & (totals[1] > 0)[:, 0]
        maximum = np.maximum(
            maximum, np.where(known, np.abs(fractions[0] - fractions[1]).sum(axis=1) / 2, 0)
        )
    return maximum


def _of_both(a: Sample, b: Sample, figure: Callable[[F64], Any]) -> tuple[float, float]:
    first, second = (float(figure(s.values)) if len(s.values) else float("nan") for s in (a, b))
    return first, second


def _edges(values: F64, whole: bool) -> F64:
    """(BINS + 1,) ends of bins that hold nearly all values of both sides."""
    if not len(values):
        return np.linspace(0.0, 1.0, BINS + 1)
    low, high = (float(v) for v in np.percentile(values, [1, 99]))
    if whole:
        step = max(1.0, float(np.ceil((high - low + 1) / BINS)))
        return np.asarray(np.floor(low) - 0.5 + np.arange(BINS + 1) * step)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _histogram(values: F64, edges: F64) -> F64:
    if not len(values):
        return np.zeros(len(edges) - 1)
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return np.asarray(counts / len(values))
