"""Metrics of predicted visibility: F1, AUROC, calibration. NumPy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, I64, Bool


def confusion(truth: I64, predicted: I64, *, classes: int) -> I64:
    """(classes, classes) counts; rows are the truth."""
    return np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)


def f1_scores(counts: I64) -> F64:
    """F1 of each class of a confusion table; NaN for one that is neither true nor predicted."""
    hit = np.diag(counts).astype(np.float64)
    both = counts.sum(0) + counts.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(both > 0, 2 * hit / both, np.nan)


def macro_f1(counts: I64) -> float:
    """Mean F1 over classes that occur in the truth; NaN when none does."""
    there = counts.sum(1) > 0
    return float(np.mean(f1_scores(counts)[there])) if there.any() else float("nan")


def majority_f1(counts: I64) -> float:
    """Macro F1 of always predicting the commonest class: the baseline for `macro_f1`."""
    always = np.zeros_like(counts)
    always[:, counts.sum(1).argmax()] = counts.sum(1)
    return macro_f1(always)


def auroc(score: F64, positive: Bool) -> float:
    """Mann-Whitney statistic by mid-ranks (Fawcett 2006), ties half; NaN for one class alone."""
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if not positives or not negatives:
        return float("nan")
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((rank[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


@dataclass(frozen=True, kw_only=True)
class Reliability:
    """A reliability diagram by bin: mean prediction, observed share, count; `ece`: expected
    calibration error (Guo et al. 2017)."""

    predicted: F64
    observed: F64
    count: I64
    ece: float


def reliability(probability: F64, outcome: Bool, *, bins: int = 15) -> Reliability:
    """Calibration of probabilities in equal bins from 0 to 1."""
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(place, probability, minlength=bins) / count
        share = np.bincount(place, outcome.astype(np.float64), minlength=bins) / count
    gaps = np.where(count > 0, np.abs(mean - share), 0.0)
    ece = float((gaps * count).sum() / count.sum()) if count.sum() else float("nan")
    return Reliability(predicted=mean, observed=share, count=count, ece=ece)
