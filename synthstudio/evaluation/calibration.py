"""How well a network knows what is hidden: F1, AUROC, calibration. NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]


def confusion(truth: I64, answer: I64, *, classes: int) -> I64:
    """Return (classes, classes) counts; rows are the truth."""
    return np.bincount(truth * classes + answer, minlength=classes**2).reshape(classes, classes)


def f1_scores(counts: I64) -> F64:
    """Return the F1 of each class of a confusion table; NaN for one that never is nor is said."""
    hit = np.diag(counts).astype(np.float64)
    both = counts.sum(0) + counts.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both > 0, 2 * hit / both, np.nan)


def macro_f1(counts: I64) -> float:
    """Return the mean F1 over classes that occur in the truth; NaN when none does."""
    there = counts.sum(1) > 0
    return float(np.mean(f1_scores(counts)[there])) if there.any() else float("nan")


def majority_f1(counts: I64) -> float:
    """Return the macro F1 of always saying the commonest class: the bar for `macro_f1`."""
    said = np.zeros_like(counts)
    said[:, counts.sum(1).argmax()] = counts.sum(1)
    return macro_f1(said)


def auroc(score: F64, positive: Bools) -> float:
    """Return the chance that a positive scores above a negative, ties half; NaN without both.

    The Mann-Whitney statistic by mid-ranks (Fawcett 2006).
    """
    above, below = int(positive.sum()), int((~positive).sum())
    if not above or not below:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    rank = (last - (count - 1) / 2)[place]
    return float((rank[positive].sum() - above * (above + 1) / 2) / (above * below))


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A reliability diagram: for each bin the mean said, the share that came true, and how many.

    `ece`: expected calibration error, the mean distance of the two weighed by count
    (Guo et al. 2017).
    """

    said: F64
    came: F64
    count: I64
    ece: float


def reliability(said: F64, came: Bools, *, bins: int = 15) -> Reliability:
    """Return how often what was said with a probability came true, in equal bins from 0 to 1."""
    place = np.minimum((said * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(place, said, minlength=bins) / count
        share = np.bincount(place, came.astype(np.float64), minlength=bins) / count
    gaps = np.where(count > 0, np.abs(mean - share), 0.0)
    ece = float((gaps * count).sum() / count.sum()) if count.sum() else float("nan")
    return Reliability(said=mean, came=share, count=count, ece=ece)


def brier(said: F64, came: Bools) -> float:
    """Return the mean squared distance between what was said and what came (Brier 1950)."""
    return float(np.mean((said - came) ** 2)) if len(said) else float("nan")
