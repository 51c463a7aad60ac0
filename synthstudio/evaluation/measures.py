"""Metrics of joints: localisation errors; F1, AUROC and calibration of predicted visibility.

NumPy; letters: P people, J joints. `known` (P, J) selects the joints that count; values of others
are ignored.
"""

from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, I64, Bool


def distances(predicted: F64, truth: F64) -> F64:
    """(P, J) Euclidean distances of (P, J, 2 or 3), in their unit; NaN stays NaN."""
    return np.asarray(np.linalg.norm(predicted - truth, axis=-1))


def pck(predicted: F64, truth: F64, *, length: F64, at: float) -> F64:
    """(P, J) 1 where a prediction is within `at` times `length` (P,) of the truth, else 0.
    Lengths: the amodal box's longer side, the torso or, for PCKh, the head."""
    with np.errstate(invalid="ignore"):
        return (distances(predicted, truth) <= at * length[:, None]).astype(np.float64)


def pck_auc(predicted: F64, truth: F64, *, known: Bool, length: F64) -> float:
    """Mean PCK over 41 thresholds from 0 to 0.2, trapezoidal, from 0 to 1."""
    thresholds = np.linspace(0, 0.2, 41)
    relative = (
        distances(predicted, truth)[known] / np.broadcast_to(length[:, None], known.shape)[known]
    )
    if not len(relative):
        return float("nan")
    with np.errstate(invalid="ignore"):
        curve = [(relative <= t).mean() for t in thresholds]
    return float(np.trapezoid(curve, thresholds) / 0.2)


def torso_px(truth: F64, joints: tuple[str, ...]) -> F64:
    """(P,) left shoulder to right hip (LSP, FLIC); NaN for skeletons without them."""
    if not {"left_shoulder", "right_hip"} <= set(joints):
        return np.full(len(truth), np.nan)
    a, b = joints.index("left_shoulder"), joints.index("right_hip")
    return np.asarray(np.linalg.norm(truth[:, a] - truth[:, b], axis=-1))


def head_px(truth: F64, joints: tuple[str, ...]) -> F64:
    """(P,) head length for PCKh: upper neck to head top (MPII), else middle of the ears to middle
    of the shoulders, which is about as long; NaN for skeletons without these."""
    if {"upper_neck", "head_top"} <= set(joints):
        a, b = truth[:, joints.index("upper_neck")], truth[:, joints.index("head_top")]
    elif not {"left_ear", "right_ear", "left_shoulder", "right_shoulder"} <= set(joints):
        return np.full(len(truth), np.nan)
    else:
        ears = truth[:, [joints.index("left_ear"), joints.index("right_ear")]]
        shoulders = truth[:, [joints.index("left_shoulder"), joints.index("right_shoulder")]]
        a, b = ears.mean(1), shoulders.mean(1)
    return np.asarray(np.linalg.norm(a - b, axis=-1))


def n_mpjpe(predicted: F64, truth: F64, *, known: Bool) -> F64:
    """(P, J) errors after the best scale about the origin (Rhodin et al. 2018)."""
    weight = known[..., None]
    above = (np.where(weight, predicted * truth, 0)).sum((1, 2))
    below = (np.where(weight, predicted * predicted, 0)).sum((1, 2))
    scale = above / np.maximum(below, 1e-12)
    return np.where(known, distances(predicted * scale[:, None, None], truth), np.nan)


def pa_mpjpe(predicted: F64, truth: F64, *, known: Bool) -> F64:
    """(P, J) errors after Procrustes alignment of each person (rotation, scale, shift; Umeyama
    1991), no reflection. NaN with fewer than three known joints."""
    errors = np.full(known.shape, np.nan)
    for p, use in enumerate(known):
        if use.sum() < 3:
            continue
        truth_p = truth[p, use]
        at = aligned(predicted[p, use], truth_p)
        errors[p, use] = np.linalg.norm(at - (truth_p - truth_p.mean(0)), axis=-1)
    return errors


def aligned(predicted: F64, truth: F64) -> F64:
    """Points (J, 3) rotated and scaled onto `truth` (J, 3) less its mean, no reflection."""
    a, t = predicted - predicted.mean(0), truth - truth.mean(0)
    u, s, vt = np.linalg.svd(t.T @ a)
    sign = np.ones(len(s))
    sign[-1] = np.sign(np.linalg.det(u @ vt))
    turn = (u * sign) @ vt
    scale = (s * sign).sum() / max((a**2).sum(), 1e-12)
    return np.asarray(scale * a @ turn.T)


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


def reliability(probability: F64, outcome: F64, *, bins: int = 15) -> Reliability:
    """Calibration of probabilities by the mean outcome, 0 to 1, in equal bins from 0 to 1."""
    place = np.minimum((probability * bins).astype(np.int64), bins - 1)
    count = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(place, probability, minlength=bins) / count
        share = np.bincount(place, outcome, minlength=bins) / count
    gaps = np.where(count > 0, np.abs(mean - share), 0.0)
    ece = float((gaps * count).sum() / count.sum()) if count.sum() else float("nan")
    return Reliability(predicted=mean, observed=share, count=count, ece=ece)
