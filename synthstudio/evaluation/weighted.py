"""Figures that are no sum over people, as functions of how often each group of frames is drawn.

Everything slow (matching, sorting) is done once; an interval then costs a pass over an array a
draw. The draws are those of bootstrap.py: seeds first, then whole groups, alike for both sides,
and as narrow with few seeds.
Letters: N rows, G groups of frames, S seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.evaluation import calibration
from synthstudio.evaluation.bootstrap import Interval, drawings
from synthstudio.evaluation.precision import Matches

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
Figure = Callable[[F64], float]
"""How often each group counts (G,) -> the figure; NaN where nothing is left to measure."""
_RECALLS = np.linspace(0, 1, 101)
"""Where pycocotools looks at the precision."""


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A figure of everything, mean over seeds, and of each draw (R,)."""

    value: float
    draws: F64

    def interval(self) -> Interval:
        """Return it with the percentile interval in which 95 % of the draws lie."""
        return _interval(self.value, self.draws)

    def minus(self, other: Drawn) -> Interval:
        """Return the paired difference; both must have been drawn alike."""
        return _interval(self.value - other.value, self.draws - other.draws)


def draw(seeds: Sequence[Figure], *, groups: int, seed: int, rounds: int) -> Drawn:
    """Return a figure of some seeds, and its draws. ValueError without seeds."""
    if not seeds:
        raise ValueError("a figure needs a seed at least")
    drawn = np.empty(rounds)
    for k, (chosen, weight) in enumerate(drawings(len(seeds), groups, seed=seed, rounds=rounds)):
        often = np.bincount(chosen, minlength=len(seeds))
        values = [n * figure(weight) for n, figure in zip(often, seeds, strict=True) if n]
        drawn[k] = sum(values) / len(seeds)
    value = float(np.mean([figure(np.ones(groups)) for figure in seeds]))
    return Drawn(value=value, draws=drawn)


def _interval(value: float, draws: F64) -> Interval:
    if not np.isfinite(draws).any() or not np.isfinite(value):
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))


def average_precision(found: Matches, group_of: dict[int, int]) -> Figure:
    """Return AP over OKS 0.5 to 0.95 and all sizes; `group_of`: each image's group.

    An image drawn k times counts as k images would in pycocotools.
    """
    group = np.array([group_of[int(i)] for i in found.image], np.int64)
    owner = np.array([group_of[int(i)] for i in found.images], np.int64)

    def figure(weight: F64) -> float:
        total = (weight[owner] * found.people).sum()
        if not total:
            return float("nan")
        each = weight[group]
        right = np.cumsum(found.hit * each, 1)
        answered = np.cumsum(found.counts * each, 1)
        precise = right / np.maximum(answered, np.spacing(1))
        best = np.maximum.accumulate(precise[:, ::-1], 1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(best), 1))], 1)
        at = [np.searchsorted(r, _RECALLS) for r in right / total]
        return float(np.take_along_axis(best, np.stack(at), 1).mean())

    return figure


def auroc(score: F64, positive: Bools, group: I64) -> Figure:
    """Return the chance that a positive scores above a negative, ties half; all (N,)."""
    values, place = np.unique(score, return_inverse=True)

    def figure(weight: F64) -> float:
        each = weight[group]
        ups = np.bincount(place, each * positive, minlength=len(values))
        downs = np.bincount(place, each * ~positive, minlength=len(values))
        below = np.cumsum(downs) - downs / 2
        pairs = ups.sum() * downs.sum()
        return float((ups * below).sum() / pairs) if pairs else float("nan")

    return figure


def macro_f1(truth: I64, said: I64, group: I64, *, classes: int) -> Figure:
    """Return the mean F1 over the classes that occur; all (N,), classes from 0."""
    tables, groups = _tables(truth, said, group, classes)

    def figure(weight: F64) -> float:
        counts = np.einsum("g,gab->ab", weight[:groups], tables)
        return calibration.macro_f1(counts)

    return figure


def majority_f1(truth: I64, group: I64, *, classes: int) -> Figure:
    """Return the macro F1 of always saying the class that is commonest among the drawn."""
    tables, groups = _tables(truth, truth, group, classes)

    def figure(weight: F64) -> float:
        counts = np.einsum("g,gab->ab", weight[:groups], tables)
        return calibration.majority_f1(counts)

    return figure


def _tables(truth: I64, said: I64, group: I64, classes: int) -> tuple[F64, int]:
    """Return (g, classes, classes) counts of each group up to the last that occurs, and g."""
    groups = int(group.max(initial=-1)) + 1
    cell = (group * classes + truth) * classes + said
    counts = np.bincount(cell, minlength=groups * classes**2)
    return counts.reshape(groups, classes, classes).astype(np.float64), groups


def calibration_error(said: F64, came: Bools, group: I64, *, bins: int = 15) -> Figure:
    """Return the expected calibration error of probabilities (N,), as sureness.reliability."""
    groups = int(group.max(initial=-1)) + 1
    place = group * bins + np.minimum((said * bins).astype(np.int64), bins - 1)
    # Of each group and bin: how much more was said than came true.
    gap = np.bincount(place, said - came, minlength=groups * bins).reshape(groups, bins)
    count = np.bincount(group, minlength=groups)

    def figure(weight: F64) -> float:
        total = (weight[:groups] * count).sum()
        return float(np.abs(weight[:groups] @ gap).sum() / total) if total else float("nan")

    return figure
