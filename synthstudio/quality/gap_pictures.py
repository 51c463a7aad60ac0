"""Crops of people from both sides: pixel statistics, and a small classifier.

A crop is a square about a person's box that lies wholly inside the picture, so no side has filled
margins. Colours, edges and sharpness are measured after scaling to one size (SIDE_PX), noise and
JPEG blocks in the picture's own pixels. Letters: N crops, D features.

The classifier of real and generated crops is a logistic regression with an L2 penalty on features
of CELLS x CELLS cells of a crop: colour (means of L*, a*, b* and the spread of L*), edges
(orientations of gradients and their strength, after Dalal and Triggs 2005) and fine texture
(Laplacian and noise residuals). It is linear, so a cell's contribution is exact: the change of the
decision when the cell is replaced by the average cell there. No person is in both parts of a fold:
crops for training share no moment, file or identity with those of the test.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from synthstudio.core.arrays import F32, F64, I64, U8, Bool
from synthstudio.core.errors import AssetError
from synthstudio.core.images import resample
from synthstudio.core.rng import stream
from synthstudio.quality.gap_distance import (
    Difference,
    Sample,
    difference,
    kinds_chance,
    total_variation,
)
from synthstudio.quality.gap_sides import Side, same_group

SIDE_PX = 96
MIN_PX = 32
"""Minimum box of cropped people: smaller ones are only blur."""
MAX_CROPS = 400
ORIENTATIONS = 8
_AROUND = 1.1
NOISE = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
"""Immerkær's filter: the difference of two Laplacians."""
_BLOCK = 8


@dataclass(frozen=True, kw_only=True, eq=False)
class Crops:
    """N crops (N, SIDE_PX, SIDE_PX, 3) of one side, and `figures` (N,) of each by name.

    `person` (N,): index of the side's person. `window` (N, 4): x y w h in the picture.
    `orientations` (N, ORIENTATIONS): distribution of gradient strength by direction.
    """

    rgb: U8
    person: I64
    window: F64
    figures: dict[str, F64]
    orientations: F64
    unreadable: int

    def __len__(self) -> int:
        return len(self.rgb)


@dataclass(frozen=True, kw_only=True, eq=False)
class Pixels:
    """Pixel statistics of both sides. `orientations` (2, ORIENTATIONS): mean distributions."""

    differences: tuple[Difference, ...]
    orientations: F64
    orientation_distance: float
    orientation_chance: float


_LIGHT = ("light.brightness", "lens.exposure_ev", "people.wardrobe", "backdrop")
_FIGURES = {
    "lightness": ("lightness, mean", "L*", _LIGHT),
    "lightness_spread": (
        "lightness, spread in a crop",
        "L*",
        ("light.sun_share", "light.sun_elevation_deg", "backdrop"),
    ),
    "saturation": ("saturation, mean", "of 1", ("people.wardrobe.saturated", "backdrop")),
    "saturation_spread": (
        "saturation, spread in a crop",
        "of 1",
        ("people.wardrobe.saturated", "people.wardrobe.patterned"),
    ),
    "energy": (
        "strength of edges",
        "L* a pixel",
        ("people.wardrobe.patterned", "backdrop", "objects"),
    ),
    "sharpness": (
        "sharpness",
        "log10 of the Laplacian's variance",
        ("lens.blur_sigma_px", "lens.blur", "image.width_px"),
    ),
    "noise": ("noise", "grey levels", ("lens.noise_sigma", "lens.noise")),
    "blocks": ("JPEG blocks", "ratio", ("lens.jpeg_quality",)),
}
"""Names of figures as titles, units, and the recipe's fields that affect them."""


def crop_side(side: Side, *, on_crop: Callable[[int], None]) -> Crops:
    """Crop at most MAX_CROPS people, evenly spread, and measure; unreadable ones are counted."""
    large = np.flatnonzero(side.box[:, 2:].max(axis=1) >= MIN_PX)
    take = np.unique(np.linspace(0, len(large) - 1, min(MAX_CROPS, len(large))).round())
    rows, bad = [], 0
    chosen = large[take.astype(np.int64)].tolist()
    for number, people in itertools.groupby(chosen, key=lambda p: int(side.picture[p])):
        try:
            picture = side.load(number)
        except AssetError:
            bad += len(list(people))
            continue
        for p in people:
            x, y, s, _ = window = crop_window(side.box[p], side.size[p])
            crop = resample(picture, (x, y, x + s, y + s), (SIDE_PX, SIDE_PX))
            rows.append((crop, p, window, *_figures(crop, picture, window)))
            on_crop(len(rows) + bad)
    rgb, person, windows, figures, turns = zip(*rows, strict=True) if rows else ((),) * 5
    return Crops(
        rgb=np.array(rgb, np.uint8).reshape(-1, SIDE_PX, SIDE_PX, 3),
        person=np.array(person, np.int64),
        window=np.array(windows, np.float64).reshape(-1, 4),
        figures={name: np.array([f[name] for f in figures]) for name in _FIGURES},
        orientations=np.array(turns, np.float64).reshape(-1, ORIENTATIONS),
        unreadable=bad,
    )


def crop_window(box: F64, size: F64) -> tuple[float, float, float, float]:
    """The square x y s s about a box x y w h, moved and shrunk to fit into the picture."""
    s = float(min(box[2:].max() * _AROUND, size.min()))
    x, y = np.clip(box[:2] + box[2:] / 2 - s / 2, 0, size - s)
    return float(x), float(y), s, s


def measure_pixels(sides: tuple[Side, Side], crops: tuple[Crops, Crops]) -> Pixels:
    groups = [side.group[c.person] for side, c in zip(sides, crops, strict=True)]
    found = []
    for key, (name, unit, fields) in _FIGURES.items():
        a, b = (Sample(values=c.figures[key], group=g) for c, g in zip(crops, groups, strict=True))
        found.append(difference(key, name, unit, fields, (a, b)))
    enough = min(map(len, crops)) > 0
    means = [c.orientations.mean(axis=0) if enough else np.zeros(ORIENTATIONS) for c in crops]
    by_group = [_summed(c.orientations, g) for c, g in zip(crops, groups, strict=True)]
    return Pixels(
        differences=tuple(found),
        orientations=np.stack(means),
        orientation_distance=total_variation(means[0], means[1]) if enough else float("nan"),
        orientation_chance=float(kinds_chance((by_group[0], by_group[1]), "orientations")[0])
        if enough
        else float("nan"),
    )


def _summed(values: F64, group: I64) -> F64:
    names, where = np.unique(group, return_inverse=True)
    out = np.zeros((len(names), 1, values.shape[1]))
    np.add.at(out[:, 0], where, values)
    return out


def lightness(rgb: U8) -> F32:
    """CIE L* (0..100) of sRGB pixels (..., H, W, 3)."""
    lab = cv2.cvtColor(rgb.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    return np.asarray(lab[..., 0], np.float32)


def gradients(light: F32) -> tuple[F32, I64]:
    """(H, W) strength of the gradient and the nearest of ORIENTATIONS.

    The first is along the rows, so that of upright lines; they follow in even steps of the turn.
    """
    across = cv2.Sobel(light, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(light, cv2.CV_32F, 0, 1, scale=1 / 8)
    turn = np.arctan2(down, across) * (ORIENTATIONS / np.pi)
    return np.hypot(across, down), np.mod(np.rint(turn).astype(np.int64), ORIENTATIONS)


def _figures(
    crop: U8, picture: U8, window: tuple[float, float, float, float]
) -> tuple[dict[str, float], F64]:
    """Figures of one crop (see _FIGURES) and the distribution of its gradients by orientation.

    Saturation is HSV's. Sharpness: variance of the Laplacian (Pech-Pacheco et al. 2000). Noise:
    Immerkær 1996, the mean of |N * I| in which smooth areas and straight edges cancel. Blocks: mean
    step of grey over the edges of 8 x 8 blocks over that elsewhere (after Wang et al. 2002).
    """
    light = lightness(crop)
    saturation = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)[..., 1]
    strength, places = gradients(light)
    sums = np.bincount(places.ravel(), strength.ravel(), ORIENTATIONS)
    x, y, s = (round(v) for v in window[:3])
    grey = cv2.cvtColor(picture[y : y + s, x : x + s], cv2.COLOR_RGB2GRAY).astype(np.float32)
    figures = {
        "lightness": light.mean(),
        "lightness_spread": light.std(),
        "saturation": saturation.mean(),
        "saturation_spread": saturation.std(),
        "energy": strength.mean(),
        "sharpness": np.log10(max(1e-3, cv2.Laplacian(light, cv2.CV_32F).var())),
        "noise": _noise(grey),
        "blocks": _blocks(grey, x, y),
    }
    total = sums.sum()
    even = np.full(ORIENTATIONS, 1 / ORIENTATIONS)
    return {k: float(v) for k, v in figures.items()}, sums / total if total > 0 else even


def _noise(grey: F32) -> float:
    inner = cv2.filter2D(grey, cv2.CV_32F, NOISE)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(inner).mean()) if inner.size else 0.0


def _blocks(grey: F32, x: int, y: int) -> float:
    """Steps over block edges against steps elsewhere, of a part of a picture from (x, y) on."""
    ratios = []
    for axis, first in ((1, x), (0, y)):
        steps = np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)
        edge = (np.arange(len(steps)) + first + 1) % _BLOCK == 0
        if edge.any() and not edge.all() and steps[~edge].mean() > 1e-6:
            ratios.append(float(steps[edge].mean() / steps[~edge].mean()))
    return float(np.mean(ratios)) if ratios else 1.0


# The classifier -----------------------------------------------------------------------------------


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
