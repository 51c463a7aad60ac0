"""Tracks of people over frames, through gaps of up to 100 frames, and smooth joints along them.

Tracks are by boxes and poses, after PoseFlow (Xiu et al. 2018): Hungarian assignment by agreement
of boxes and joints, with a pose as last seen and as moved by its velocity. Ours: hidden joints
count by their score; old tracks fade. Smoothing is symmetric, without lag: each position is from a
polynomial fit to the surrounding frames (Savitzky & Golay 1964), weighted by the network's
confidence. Linear motion passes unchanged, at the ends too; a causal filter (the one-euro filter)
would lag. Letters: P people, J joints, K tracks, T frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F64, I64
from synthstudio.core.errors import ArgumentError

MEMORY = 100
"""Maximum gap in frames of a track (PoseFlow's link length)."""
MIN = 0.2
"""Agreement of a match."""
REPEATED = -1
"""Track number of a duplicate of another person of the frame."""
_FALL = 0.214
"""OKS's fall-off in square roots of the box's area: twice COCO's widest sigma, the hip's."""
_STOOD = 0.5
"""Weight of agreement with the last pose, against the extrapolated one."""
_FADE = 0.99
"""Decay of a track's weight per frame without sighting."""
_COAST = 15
"""Maximum extrapolation in frames."""
_RECENT = 5
"""Number of sightings for a velocity."""
_SAME_POSE, _SAME_BOX = 0.95, 0.5
"""Similarities above which two people of a frame are duplicates."""


@dataclass(frozen=True, kw_only=True)
class _People:
    """`boxes` (P, 4) x y w h, `joints` (P, J, 2), `scores` (P, J): 0 where a joint is unknown."""

    boxes: F64
    joints: F64
    scores: F64


@dataclass(frozen=True, kw_only=True)
class _Frame(_People):
    time: int


_Track = list[tuple[_Frame, int]]
"""Sightings, of a person the last: frames and rows in them, newest last."""


def track_people(
    boxes: Sequence[F64],
    joints: Sequence[F64],
    scores: Sequence[F64],
    *,
    at: Sequence[int] | I64 | None = None,
) -> list[I64]:
    """Track numbers (P,) from 1 for the people of each frame, REPEATED for near-duplicates. For
    each frame `boxes` (P, 4: x y w h), `joints` (P, J, 2; NaN: unknown), `scores` (P, J; 0 hidden
    to 1) and its number in `at` (rising; default 0, 1, ...). ArgumentError for other boxes or
    scores."""
    tracker = Tracker()
    times = range(len(boxes)) if at is None else at
    rows = zip(boxes, joints, scores, times, strict=True)
    return [tracker.name(b, j, s, at=time) for b, j, s, time in rows]


class Tracker:
    """The same online, frame by frame."""

    def __init__(self) -> None:
        self._past: dict[int, _Track] = {}
        self._fresh = 1

    def name(self, boxes: F64, joints: F64, scores: F64, *, at: int) -> I64:
        """Track numbers (P,) for the people of frame `at`, after all before, as `track_people`."""
        if not len(boxes):
            return np.zeros(0, np.int64)
        now = _checked(boxes, joints, scores, time=int(at))
        self._past = {k: t for k, t in self._past.items() if now.time - t[-1][0].time - 1 <= MEMORY}
        names = np.full(len(now.boxes), REPEATED, np.int64)
        rows = _distinct(now)
        found = _matched(now, rows, self._past)
        for p in rows:
            name = found.get(p, self._fresh)
            self._fresh += name == self._fresh
            names[p] = name
            self._past[name] = [*self._past.get(name, [])[1 - _RECENT :], (now, p)]
        return names


def _matched(now: _Frame, rows: list[int], past: dict[int, _Track]) -> dict[int, int]:
    """Row -> track, for the best assignment of `rows` to tracks."""
    from scipy.optimize import linear_sum_assignment  # slow to import

    names = list(past)
    if not names or not rows:
        return {}
    seen, stood = _people([(now, p) for p in rows]), _people([past[k][-1] for k in names])
    missed = np.array([now.time - past[k][-1][0].time - 1 for k in names])
    shift = np.stack([_velocity(past[k]) for k in names]) * np.minimum(missed + 1, _COAST)[:, None]
    moved = _People(
        boxes=np.concatenate([stood.boxes[:, :2] + shift, stood.boxes[:, 2:]], 1),
        joints=stood.joints + shift[:, None],
        scores=stood.scores,
    )
    score = np.maximum(_agreement(seen, moved), _STOOD * _agreement(seen, stood)) * _FADE**missed
    score[score < MIN] = 0  # such pairs must not displace good ones
    pairs = zip(*linear_sum_assignment(-score), strict=True)
    return {rows[p]: names[k] for p, k in pairs if score[p, k] > 0}


def _agreement(a: _People, b: _People) -> F64:
    """(A, B) from 0 to 1: IoU of boxes and OKS of poses, weighted by how visible the joints are."""
    pose, weight = _alike(a, b)
    return (overlaps(a.boxes, b.boxes) + weight * pose) / (1 + weight)


def _alike(a: _People, b: _People) -> tuple[F64, F64]:
    """OKS (A, B) of the joints by both scores, and the mean weight (A, B) that they have."""
    weight = np.sqrt(a.scores[:, None] * b.scores[None])
    area = np.sqrt(a.boxes[:, 2:].prod(-1)[:, None] * b.boxes[:, 2:].prod(-1)[None])
    apart = ((a.joints[:, None] - b.joints[None]) ** 2).sum(-1)
    near = np.exp(-apart / (2 * _FALL**2 * np.maximum(area, 1)[..., None]))
    total = weight.sum(-1)
    return (weight * near).sum(-1) / np.maximum(total, 1e-9), total / max(weight.shape[-1], 1)


def _distinct(people: _Frame) -> list[int]:
    """Rows after pose NMS, in an order independent of the input's."""
    columns = np.concatenate([people.boxes, people.joints[..., 0], people.joints[..., 1]], 1)
    order = np.lexsort(columns[:, ::-1].T)
    alike, _ = _alike(people, people)
    same = (alike >= _SAME_POSE) & (overlaps(people.boxes, people.boxes) >= _SAME_BOX)
    kept: list[int] = []
    for p in order[np.argsort(-people.scores.sum(-1)[order], kind="stable")]:
        if not same[p, kept].any():
            kept.append(int(p))
    return [int(p) for p in order if p in kept]


def _people(sightings: _Track) -> _People:
    return _People(
        boxes=np.stack([frame.boxes[p] for frame, p in sightings]),
        joints=np.stack([frame.joints[p] for frame, p in sightings]),
        scores=np.stack([frame.scores[p] for frame, p in sightings]),
    )


def _velocity(track: _Track) -> F64:
    """(2,) pixels a frame over the last sightings: of the joints by score, or else of the box."""
    (then, p), (now, q) = track[0], track[-1]
    if then is now:
        return np.zeros(2)
    weight = np.sqrt(then.scores[p] * now.scores[q])
    if weight.sum() > 0:
        gone = np.average(now.joints[q] - then.joints[p], axis=0, weights=weight)
    else:
        (x0, y0, w0, h0), (x1, y1, w1, h1) = then.boxes[p], now.boxes[q]
        gone = np.array([x1 - x0 + (w1 - w0) / 2, y1 - y0 + (h1 - h0) / 2])
    return np.asarray(gone / (now.time - then.time))


def _checked(boxes: F64, joints: F64, scores: F64, *, time: int) -> _Frame:
    """The people of a frame, unknown joints at 0 with score 0; ArgumentError."""
    if not (np.isfinite(boxes).all() and (boxes[:, 2:] >= 0).all()):
        raise ArgumentError(
            "not a box", where=f"frame {time}", expected="finite x y w h", got=f"{boxes}"
        )
    if ((scores < 0) | (scores > 1)).any():  # NaN is not
        raise ArgumentError(
            "not a score", where=f"frame {time}", expected="0 to 1", got=f"{scores}"
        )
    known = np.isfinite(joints).all(-1) & (scores > 0)
    return _Frame(
        boxes=boxes,
        joints=np.where(known[..., None], joints, 0),
        scores=np.where(known, scores, 0),
        time=time,
    )


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
