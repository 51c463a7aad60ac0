"""A small classifier of real and generated crops, with evidence per cell.

Logistic regression with an L2 penalty on features of CELLS x CELLS cells of a crop: colour
(means of L*, a*, b* and the spread of L*), edges (orientations of gradients and their strength,
after Dalal and Triggs 2005) and fine texture (Laplacian and noise residuals). It is linear,
so a cell's contribution is exact: the change of the decision when the cell
is replaced by the average cell there. No person is in both parts of a fold: crops for training
share no moment, file or identity with those of the test. Letters: N crops, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from synthstudio.core.arrays import F32, F64, I64, U8, Bool
from synthstudio.core.rng import stream
from synthstudio.quality.gap_pictures import NOISE, ORIENTATIONS, SIDE_PX, Crops, gradients
from synthstudio.quality.gap_sides import Side, same_group

CELLS = 8
FOLDS = 5
MIN_GROUPS = 4
"""Minimum groups per side; with fewer the photographer's habits dominate."""
ROUNDS = 1000
_PENALTY = 0.05
CUES = {
    "colour": ("light.brightness", "lens.exposure_ev", "people.wardrobe", "backdrop"),
    "edges": ("people.wardrobe.patterned", "backdrop", "objects", "people.poses"),
    "fine texture": ("lens.noise_sigma", "lens.blur_sigma_px", "lens.jpeg_quality"),
}
"""Groups of features, and the recipe's fields that affect them."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Balanced accuracy of held-out crops with its 95 % interval over moments and photos."""

    value: float
    low: float
    high: float

    @property
    def beyond_chance(self) -> bool:
        return self.low > 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Classifier:
    """Result of the classifier. Crops are ordered generated, photos.

    `score` (N,): log odds of being a photo, by a fold without the crop; NaN if none
    could be trained. `looks` (N, CELLS, CELLS): contribution of each cell. `by_cue`: the accuracy
    of each group of CUES alone.
    """

    accuracy: Accuracy
    by_cue: dict[str, Accuracy]
    real: Bool
    score: F64
    looks: F64


def classify(sides: tuple[Side, Side], crops: tuple[Crops, Crops]) -> Classifier | None:
    """Train and test by folds; None if a side has fewer than MIN_GROUPS groups of crops."""
    numbers = same_group(*sides)
    group = np.concatenate([n[c.person] for n, c in zip(numbers, crops, strict=True)])
    who = [s.who[p] for s, c in zip(sides, crops, strict=True) for p in c.person.tolist()]
    real = np.repeat([False, True], [len(c) for c in crops])
    if min(len(np.unique(group[real == side])) for side in (False, True)) < MIN_GROUPS:
        return None
    x, cue = features(np.concatenate([c.rgb for c in crops]))
    folds = _folds(real, group, who)
    allowed = [_apart(folds == k, group, who) for k in range(FOLDS)]
    score, looks = _held_out(x, real, folds, allowed)
    cells = looks.reshape(len(x), CELLS, CELLS, -1).sum(axis=-1)
    by_cue = {}
    for number, name in enumerate(CUES):
        own = np.tile(cue == number, CELLS * CELLS)
        by_cue[name] = _accuracy(_held_out(x[:, own], real, folds, allowed)[0], real, group)
    return Classifier(
        accuracy=_accuracy(score, real, group), by_cue=by_cue, real=real, score=score, looks=cells
    )


def features(rgb: U8) -> tuple[F64, I64]:
    """(N, CELLS * CELLS * K) features of crops, cell by cell, and (K,) the cue of each of the K."""
    cues = [0] * 4 + [1] * (ORIENTATIONS + 1) + [2] * 2
    out = np.zeros((len(rgb), CELLS * CELLS * len(cues)))
    for k, crop in enumerate(rgb):
        lab = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
        light = lab[..., 0]
        strength, place = gradients(light)
        edges = [_mean(np.where(place == t, strength, 0)) for t in range(ORIENTATIONS)]
        total = np.maximum(_mean(strength), 0.05)
        fine = [np.abs(cv2.Laplacian(light, cv2.CV_32F)), np.abs(cv2.filter2D(light, -1, NOISE))]
        columns = [_mean(lab[..., c]) for c in range(3)]
        columns += [np.sqrt(np.maximum(_mean(light**2) - columns[0] ** 2, 0))]
        columns += [e / total for e in edges] + [np.log(total)]
        columns += [np.log(np.maximum(_mean(f), 0.01)) for f in fine]
        out[k] = np.stack(columns, axis=-1).ravel()
    return out, np.array(cues, np.int64)


def _mean(values: F32) -> F64:
    px = SIDE_PX // CELLS
    cells = values.astype(np.float64).reshape(CELLS, px, CELLS, px)
    return np.asarray(cells.mean(axis=(1, 3)))


def _folds(real: Bool, group: I64, who: list[str]) -> I64:
    """(N,) the fold of each crop: equal for one identity, else for one picture."""
    keys = [(r, w or str(g)) for r, g, w in zip(real.tolist(), group.tolist(), who, strict=True)]
    out = np.zeros(len(keys), np.int64)
    for side in (False, True):
        names = sorted({key for key in keys if key[0] == side})
        turn = stream(0, "gap", "folds", int(side)).permutation(len(names))
        fold = {name: int(t) % FOLDS for name, t in zip(names, turn, strict=True)}
        for i, key in enumerate(keys):
            if key[0] == side:
                out[i] = fold[key]
    return out


def _apart(test: Bool, group: I64, who: list[str]) -> Bool:
    """(N,) crops that share neither picture nor identity with those of the test."""
    people = {w for w, t in zip(who, test.tolist(), strict=True) if t and w}
    known = np.array([w in people for w in who])
    return np.asarray(~np.isin(group, group[test]) & ~known)


def _held_out(x: F64, real: Bool, folds: I64, allowed: list[Bool]) -> tuple[F64, F64]:
    """(N,) log odds and (N, D) contributions of features, of folds without them."""
    score, parts = np.full(len(x), np.nan), np.zeros_like(x)
    for k, train in enumerate(allowed):
        test = folds == k
        if not test.any() or min((real[train] == side).sum() for side in (False, True)) < 2:
            continue
        mean, spread = x[train].mean(axis=0), x[train].std(axis=0)
        spread = np.maximum(spread, 1e-3)
        weights, offset = _fit((x[train] - mean) / spread, real[train])
        parts[test] = (x[test] - mean) / spread * weights
        score[test] = parts[test].sum(axis=1) + offset
    return score, parts


def _fit(x: F64, real: Bool) -> tuple[F64, float]:
    """Weights (D,) and offset of minimum mean log loss, with equal weights of both sides."""
    share = np.where(real, 0.5 / real.mean(), 0.5 / (1 - real.mean())) / len(x)
    sign = np.where(real, 1.0, -1.0)
    penalty = _PENALTY * x.shape[1] / 1000

    def loss(w: F64) -> tuple[float, F64]:
        margin = sign * (x @ w[:-1] + w[-1])
        pull = -share * sign * expit(-margin)
        value = float(share @ np.logaddexp(0, -margin) + penalty / 2 * w[:-1] @ w[:-1])
        return value, np.append(x.T @ pull + penalty * w[:-1], pull.sum())

    start = np.zeros(x.shape[1] + 1)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return found.x[:-1], float(found.x[-1])


def _accuracy(score: F64, real: Bool, group: I64) -> Accuracy:
    """Balanced accuracy; the interval resamples the groups of each side (percentile bootstrap)."""
    known = np.isfinite(score)
    right = (score > 0) == real
    drawn, values = [], []
    for side in (False, True):
        which = known & (real == side)
        _, place = np.unique(group[which], return_inverse=True)
        if not which.any():
            return Accuracy(value=float("nan"), low=float("nan"), high=float("nan"))
        sums = np.bincount(place, right[which]), np.bincount(place)
        rng = stream(0, "gap", "bootstrap", int(side))
        take = rng.integers(0, len(sums[1]), (ROUNDS, len(sums[1])))
        drawn.append(sums[0][take].sum(axis=1) / sums[1][take].sum(axis=1))
        values.append(right[which].mean())
    low, high = np.percentile((drawn[0] + drawn[1]) / 2, [2.5, 97.5])
    return Accuracy(value=float(np.mean(values)), low=float(low), high=float(high))
