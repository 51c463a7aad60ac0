"""Overlaps of boxes, and zero-lag smoothing of joints of a clip.

The filter is symmetric: each position is from a polynomial fit to the surrounding frames
(Savitzky & Golay 1964), weighted by the network's confidence. Linear motion passes unchanged, at
the ends too; a causal filter (the one-euro filter) would lag.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F64

WINDOW = 7
_DEGREE = 2
_MIN_WEIGHT = 1e-3
"""Minimum weight, for fits with uncertain frames only."""


def overlaps(a: F64, b: F64) -> F64:
    """Intersection over union (A, B) of boxes x y w h, (A, 4) and (B, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    union = a[:, 2:].prod(-1)[:, None] + b[:, 2:].prod(-1)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12))


def smooth(
    xy: F64,
    weight: F64,
    *,
    at: NDArray[np.integer] | F64 | None = None,
    window: int = WINDOW,
) -> F64:
    """Smooth the joints (T, J, 2) of one track. `weight` (T, J): confidences from 0 to 1. `at`
    (T,): rising frame numbers; gaps are not filled, missing joints stay NaN. `window` (odd): frames
    from end to end, the nearest count most; a fit with too few takes a lower degree."""
    steps = np.arange(len(xy), dtype=np.float64) if at is None else np.asarray(at, np.float64)
    half = (window - 1) // 2
    if half < 1 or len(xy) < 2:
        return xy.copy()
    out = np.full_like(xy, np.nan, dtype=np.float64)
    found = np.asarray(np.isfinite(xy).all(-1))
    for t, now in enumerate(steps):
        near = np.flatnonzero(np.abs(steps - now) <= half)
        apart = steps[near] - now
        fall = (1 - (np.abs(apart) / (half + 1)) ** 3) ** 3  # tricube: frames fade out
        power = np.vander(apart, min(_DEGREE, max(len(near) - 2, 0)) + 1, increasing=True)
        for j in np.flatnonzero(found[t]):
            seen = found[near, j]
            known = near[seen]
            fit = power[seen][:, : min(_DEGREE, max(len(known) - 2, 0)) + 1]
            w = np.sqrt(fall[seen] * np.maximum(weight[known, j], _MIN_WEIGHT))[:, None]
            out[t, j] = np.linalg.lstsq(fit * w, xy[known, j] * w, rcond=None)[0][0]
    return out
