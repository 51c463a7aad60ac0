"""By how much a network's word on visibility beats its bars, with intervals over moments."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.rng import stream
from synthstudio.evaluation import sureness
from synthstudio.evaluation.bootstrap import Interval

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]
_ROUNDS = 200


def over_groups(
    figure: Callable[[I64], float], group: I64, *, seed: int, rounds: int = _ROUNDS
) -> Interval:
    """Return figure(rows) of all rows, with the interval of drawing whole groups anew.

    For figures that are no sum over rows. `group` (N,): which rows belong together.
    """
    if not len(group):
        return Interval(value=float("nan"), low=float("nan"), high=float("nan"))
    order = np.argsort(group, kind="stable")
    _, first = np.unique(group[order], return_index=True)
    members = np.split(order, first[1:])
    rng = stream(seed, "margins")
    drawn = np.empty(rounds)
    for k in range(rounds):
        chosen = rng.integers(0, len(members), len(members))
        drawn[k] = figure(np.concatenate([members[g] for g in chosen]))
    value = figure(np.arange(len(group)))
    if not np.isfinite(drawn).any():
        return Interval(value=value, low=float("nan"), high=float("nan"))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(value=value, low=float(low), high=float(high))


def auroc_over(said: F64, bar: F64, seen: Bools, group: I64, *, seed: int) -> Interval:
    """Return the AUROC of `said` minus that of `bar`, for telling the seen; all (N,)."""
    return over_groups(
        lambda rows: (
            sureness.auroc(said[rows], seen[rows]) - sureness.auroc(bar[rows], seen[rows])
        ),
        group, seed=seed,
    )  # fmt: skip


def f1_over_majority(truth: I64, answer: I64, group: I64, *, classes: int, seed: int) -> Interval:
    """Return the macro F1 minus that of always saying the commonest class; all (N,)."""

    def figure(rows: I64) -> float:
        counts = sureness.confusion(truth[rows], answer[rows], classes=classes)
        return sureness.macro_f1(counts) - sureness.majority_f1(counts)

    return over_groups(figure, group, seed=seed)
