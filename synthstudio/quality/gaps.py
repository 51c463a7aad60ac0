"""Gaps of a data set: bins with too few counts, and their statistical significance."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import pdtr

from synthstudio.core.arrays import F64, I64, Bool
from synthstudio.quality.coverage import Coverage, known_places, thin_below

PAIRS = (("joint", "cause"), ("cause", "fraction"), ("family", "view"))
"""The pairs of axes with listed thin bins."""
GAP_PAIRS = (("joint", "cause"), ("family", "view"))
"""Without cause x fraction, where most bins follow from the definition."""
CHANCE = 0.01
"""Probability of a false gap per table."""


@dataclass(frozen=True, kw_only=True)
class Gap:
    """A value of one axis, or of a pair of axes, with far less than `expected`.

    For one axis an even share is expected; for a pair, the product of both
    frequencies. Counts are joints if an axis is joint or cause, else people.
    """

    axes: tuple[str, ...]
    names: tuple[str, ...]
    count: int
    expected: float


def gaps(found: Coverage, *, at_least: float | None = None) -> list[Gap]:
    """Gaps along single axes and `GAP_PAIRS`, emptiest first.

    A bin is a gap when it holds less than half of what is expected (or less than `at_least`)
    and the Poisson probability of that is below one in a hundred tables (Bonferroni over
    its bins). Joints of one person are hidden together, so for bins that one person can be in
    several times the test counts people. Pairs with a value that is a gap itself
    are not repeated.
    """
    single = [
        gap
        for axis in ("cause", "fraction", "view", "family", "body")
        for gap in _of_axis(found, axis, at_least)
    ]
    alone = {(gap.axes[0], gap.names[0]) for gap in single}
    pairs = [
        gap
        for pair in GAP_PAIRS
        for gap in _of_pair(found, pair, at_least)
        if alone.isdisjoint(zip(gap.axes, gap.names, strict=True))
    ]
    return [g for kind in (single, pairs) for g in sorted(kind, key=lambda g: g.count / g.expected)]


def _of_axis(found: Coverage, axis: str, at_least: float | None) -> list[Gap]:
    counts = found.of_joints(axis) if axis == "cause" else found.of_people(axis)
    places = known_places(found, axis)
    here = counts[places]
    expected = np.full(here.shape, here.sum() / max(1, here.size))
    several = len(found.skeleton.joints) if axis == "cause" else 1
    names = [[found.labels[axis][k] for k in places]]
    return _listed((axis,), names, here, expected, _is_gap(here, expected, several, at_least))


def _of_pair(found: Coverage, pair: tuple[str, str], at_least: float | None) -> list[Gap]:
    here, names = _table(found, pair)
    down, across = here.sum(axis=1), here.sum(axis=0)
    expected = np.outer(down, across) / max(1, here.sum())
    return _listed(pair, names, here, expected, _is_gap(here, expected, 1, at_least))


def _listed(
    axes: tuple[str, ...], names: Sequence[Sequence[str]], here: I64, expected: F64, which: Bool
) -> list[Gap]:
    return [
        Gap(
            axes=axes,
            names=tuple(line[k] for line, k in zip(names, at, strict=True)),
            count=int(here[at]),
            expected=float(expected[at]),
        )
        for at in map(tuple, np.argwhere(which))
    ]


def _is_gap(counts: I64, expected: F64, several: int, at_least: float | None) -> Bool:
    few = counts < (0.5 * expected if at_least is None else at_least)
    chance = pdtr(np.ceil(counts / several), expected / several)  # Poisson's cdf
    return few & (expected > 0) & (chance < CHANCE / max(1, counts.size))


def thin_pairs(
    found: Coverage, pair: tuple[str, str], *, at_least: float | None = None
) -> list[tuple[str, str, int]]:
    """Return the bins of two axes with fewer than `at_least`, thinnest first, with their counts.

    Counts people, or joints if one axis is joint or cause. By default a bin is thin with less than
    half of an even share. Impossible bins (unknown, unlabelled) are excluded.
    """
    here, names = _table(found, pair)
    minimum = thin_below(here, at_least)
    bins = [
        (a, b, int(here[i, j]))
        for (i, a), (j, b) in itertools.product(enumerate(names[0]), enumerate(names[1]))
        if here[i, j] < minimum
    ]
    return sorted(bins, key=lambda each: each[2])


def _table(found: Coverage, pair: tuple[str, str]) -> tuple[I64, list[list[str]]]:
    return found.table(pair, lambda axis, sums: known_places(found, axis))
