"""By how much a network's word on visibility beats its bars, with intervals over moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.evaluation import weighted
from synthstudio.evaluation.bootstrap import Interval
from synthstudio.evaluation.weighted import Figure

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
ROUNDS = 500


@dataclass(frozen=True, kw_only=True)
class Margin:
    """A figure, the bar, and the figure minus the bar: the same people drawn for both."""

    ours: Interval
    bar: Interval
    difference: Interval


def margin(ours: Figure, bar: Figure, *, groups: int, seed: int, rounds: int = ROUNDS) -> Margin:
    """Return a figure beside its bar, drawn alike."""
    a, b = (weighted.draw([f], groups=groups, seed=seed, rounds=rounds) for f in (ours, bar))
    return Margin(ours=a.interval(), bar=b.interval(), difference=a.minus(b))


def auroc_over(said: F64, bar: F64, seen: Bools, group: I64, *, seed: int) -> Margin:
    """Return the AUROC of `said` beside that of `bar`, for telling the seen; all (N,)."""
    group, groups = _from_zero(group)
    return margin(
        weighted.auroc(said, seen, group),
        weighted.auroc(bar, seen, group),
        groups=groups,
        seed=seed,
    )


def f1_over_majority(truth: I64, answer: I64, group: I64, *, classes: int, seed: int) -> Margin:
    """Return the macro F1 beside that of always saying the commonest class; all (N,)."""
    group, groups = _from_zero(group)
    return margin(
        weighted.macro_f1(truth, answer, group, classes=classes),
        weighted.majority_f1(truth, group, classes=classes),
        groups=groups,
        seed=seed,
    )


def _from_zero(group: I64) -> tuple[I64, int]:
    """Return groups without those that have no row here, and how many are left (1 at least)."""
    named, place = np.unique(group, return_inverse=True)
    return place.astype(np.int64), max(len(named), 1)
