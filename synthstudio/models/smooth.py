"""Tracking of people through clips, and zero-lag smoothing of their joints.

The filter looks as far ahead as back: each position comes from a polynomial fit to the frames about
it (Savitzky & Golay 1964), weighted by the network's confidence. Linear motion passes unchanged, at
the ends too; a causal filter (the one-euro filter) would lag behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

WINDOW = 7
_MIN_WEIGHT = 1e-3
"""Keeps a fit possible where every frame is uncertain."""


def overlaps(a: F64, b: F64) -> F64:
    """Intersection over union (A, B) of boxes x y w h, (A, 4) and (B, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    union = a[:, 2:].prod(-1)[:, None] + b[:, 2:].prod(-1)[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-12))


def tracks(frames: Sequence[F64], *, least: float = 0.3, memory: int = 5) -> list[I64]:
    """Track numbers (P,) for each frame's boxes (P, 4: x y w h).

    Boxes are matched with each person's last one to maximise the sum of overlaps, of at least
    `least` each. Somebody unseen for more than `memory` frames is new.
    """
    last: dict[int, tuple[int, F64]] = {}
    out: list[I64] = []
    fresh = 0
    for t, boxes in enumerate(frames):
        last = {k: v for k, v in last.items() if t - v[0] <= memory + 1}
        names = list(last)
        own = np.full(len(boxes), -1, np.int64)
        if names and len(boxes):
            shared = overlaps(boxes, np.stack([last[k][1] for k in names]))
            for p, k in zip(*linear_sum_assignment(-shared), strict=True):
                if shared[p, k] >= least:
                    own[p] = names[k]
        for p in np.flatnonzero(own < 0):
            own[p] = fresh
            fresh += 1
        last.update({int(k): (t, boxes[p]) for p, k in enumerate(own)})
        out.append(own)
    return out


def smooth(
    xy: F64,
    weight: F64,
    *,
    at: NDArray[np.integer] | F64 | None = None,
    window: int = WINDOW,
    degree: int = 2,
) -> F64:
    """Smooth the joints (T, J, 2) of one track, each fitted to its neighbours in time.

    `weight` (T, J): confidences from 0 to 1. `at` (T,): rising frame numbers; gaps are not filled,
    and a joint that was not found in a frame (NaN) stays so.
    `window` (odd): frames from end to end; the nearest count most. A fit with too few frames takes
    a lower degree.
    """
    steps = np.arange(len(xy), dtype=np.float64) if at is None else np.asarray(at, np.float64)
    half = (window - 1) // 2
    if half < 1 or len(xy) < 2:
        return xy.copy()
    out = np.full_like(xy, np.nan, dtype=np.float64)
    found = np.asarray(np.isfinite(xy).all(-1))
    for t, now in enumerate(steps):
        near = np.flatnonzero(np.abs(steps - now) <= half)
        apart = steps[near] - now
        fall = (1 - (np.abs(apart) / (half + 1)) ** 3) ** 3  # tricube: no frame drops out at once
        power = np.vander(apart, min(degree, max(len(near) - 2, 0)) + 1, increasing=True)
        for j in np.flatnonzero(found[t]):
            seen = found[near, j]
            known = near[seen]
            fit = power[seen][:, : min(degree, max(len(known) - 2, 0)) + 1]
            w = np.sqrt(fall[seen] * np.maximum(weight[known, j], _MIN_WEIGHT))[:, None]
            out[t, j] = np.linalg.lstsq(fit * w, xy[known, j] * w, rcond=None)[0][0]
    return out
