"""Distances of real poses to the nearest generated ones.

Two poses are aligned by the known joints of the real one: both are moved to
their mean and scaled to one root mean square radius, the generated one also mirrored. The
distance is the root mean square of the residual, in longer sides of the real pose's joints:
Procrustes analysis (Gower 1975) without rotation, since rotation is part of the pose.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from synthstudio.core.arrays import F64, I64
from synthstudio.quality.gap_distance import Difference, Sample, difference
from synthstudio.quality.gap_sides import Side
from synthstudio.quality.subject import flip_of

MIN_JOINTS = 6
MAX_POSES = 4000
BASELINE = 300
"""Number of generated people compared with other generated ones."""
FAR = 95.0
"""Percentile of distances among generated poses beyond which a real pose is far."""


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """A person and the nearest generated person; `distance` in longer sides of the pose."""

    person: int
    nearest: int
    mirrored: bool
    distance: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Poses:
    """`found`: for each photo person with enough joints, farthest first.

    `difference`: those distances (photos) and those of generated people to generated ones
    of other moments. `far`: the share beyond `far_beyond`.
    """

    found: tuple[Nearest, ...]
    difference: Difference
    far: float
    far_beyond: float
    common: tuple[str, ...]


def measure_poses(generated: Side, photos: Side, common: tuple[str, ...]) -> Poses | None:
    """Return the nearest generated pose of each real one; None if no person has enough joints."""
    if len(common) < MIN_JOINTS:
        return None
    own_joints, photo_joints = generated.joints(common), photos.joints(common)
    bank = generated.whole_px[:, own_joints]
    members = np.flatnonzero(np.isfinite(bank).all(axis=(1, 2)))
    members = _spread(members, MAX_POSES)
    real = photos.px[:, photo_joints]
    known = np.isfinite(real[..., 0])
    places = (pose[which] for pose, which in zip(real, known, strict=True))
    wide = [len(p) > 0 and np.ptp(p, axis=0).max() >= 1 for p in places]
    people = np.flatnonzero((known.sum(axis=1) >= MIN_JOINTS) & np.array(wide, np.bool_))
    people = _spread(people, MAX_POSES)
    if not len(members) or not len(people):
        return None
    bank, flip = bank[members], flip_of(common)
    found = [_nearest(real[p], bank, flip, np.ones(len(members), np.bool_), int(p)) for p in people]
    # The same among generated people, with the joints known in photos.
    group, own = generated.group[members], []
    for k, p in enumerate(_spread(np.arange(len(members)), BASELINE)):
        known = np.isfinite(real[people[k % len(people)], :, :1])
        others = group != group[p]
        if others.any():
            own.append((int(p), _nearest(np.where(known, bank[p], np.nan), bank, flip, others, 0)))
    among = Sample(
        values=np.array([n.distance for _, n in own]),
        group=np.array([group[p] for p, _ in own], np.int64),
    )
    beyond = float(np.percentile(among.values, FAR)) if own else float("nan")
    distances = np.array([n.distance for n in found])
    ranked = sorted(found, key=lambda n: (-n.distance, n.person))
    return Poses(
        found=tuple(replace(n, nearest=int(members[n.nearest])) for n in ranked),
        difference=difference(
            "pose",
            "distance to the nearest generated pose",
            "longer sides of the pose",
            ("people.poses.families", "people.poses.jitter_deg", "people.facing_deg", "motion"),
            (among, Sample(values=distances, group=photos.group[people])),
        ),
        far=float((distances > beyond).mean()) if own else float("nan"),
        far_beyond=beyond,
        common=common,
    )


def _spread(places: I64, maximum: int) -> I64:
    if len(places) <= maximum:
        return places
    return places[np.linspace(0, len(places) - 1, maximum).round().astype(np.int64)]


def _nearest(pose: F64, bank: F64, flip: I64, allowed: np.ndarray, person: int) -> Nearest:
    """The nearest of `bank` (Q, J, 2) to a pose (J, 2), NaN for unknown joints."""
    known = np.isfinite(pose[:, 0])
    own = pose[known]
    side = float(np.ptp(own, axis=0).max())
    target, radius = _normal(own[None])
    best: tuple[float, int, bool] = (np.inf, 0, False)
    rotated = bank[:, flip] * (-1.0, 1.0)
    for mirrored, poses in ((False, bank), (True, rotated)):
        others, _ = _normal(poses[:, known])
        # Of unit radius both: the mean of |a - b|^2 is 2 - 2 a.b
        apart = np.where(allowed, 2 - 2 * others.reshape(len(bank), -1) @ target.ravel(), np.inf)
        k = int(np.argmin(apart))
        if apart[k] < best[0] - 1e-12:
            best = (float(apart[k]), k, mirrored)
    distance = np.sqrt(max(0.0, best[0])) * float(radius[0]) / max(side, 1e-9)
    return Nearest(person=person, nearest=best[1], mirrored=best[2], distance=float(distance))


def _normal(poses: F64) -> tuple[F64, F64]:
    """(Q, K, 2) poses about their mean with a summed square of 1, and (Q,) their RMS radius."""
    centred = poses - poses.mean(axis=1, keepdims=True)
    size = np.sqrt((centred**2).sum(axis=(1, 2)))
    unit = centred / np.maximum(size, 1e-12)[:, None, None]
    return unit, size / np.sqrt(poses.shape[1])
