"""Left and right exchanged: by the 3D joints where there are any, else by what a body allows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from synthstudio.quality.checks.subject import flip_of
from synthstudio.review.risk.people import F64, PeopleTable
from synthstudio.review.risk.signal import Signal, in_chunks, ramp, signal, worst

_FLAT = 0.35  # the sine below which a triangle says little about the way it turns
# Folded arms and crossed legs are crossed rightly: the further from the trunk, the less is said.
_PAIRS = (
    ("shoulder", "elbow", 0.8),
    ("elbow", "wrist", 0.35),
    ("hip", "knee", 0.8),
    ("knee", "ankle", 0.5),
)
Mask = NDArray[np.bool_]


def sides(table: PeopleTable) -> Signal:
    """Joints that lie where their twins of the other side belong."""
    people = table.people
    score, joint = np.zeros(people), np.full(people, -1)
    for some in in_chunks(people):
        by_space, at = _by_space(table, some)
        has_3d = np.isfinite(table.arrays["off_px"][:, some]).any(axis=0)
        by_body, below = _by_body(table, some)
        score[some] = np.where(has_3d, by_space, by_body)
        joint[some] = np.where(has_3d, at, below)
    return signal(
        "sides", weight=0.9, score=score, joint=joint, text="{joint}: left and right look swapped"
    )


def _by_space(table: PeopleTable, some: slice) -> tuple[F64, NDArray[np.int64]]:
    """A joint lies where its twin is seen, and that is not where itself is seen."""
    off = table.arrays["off_px"][:, some].astype(np.float64)
    twin = table.arrays["mirror_px"][:, some].astype(np.float64)
    paired = flip_of(table.joints) != np.arange(len(table.joints))
    with np.errstate(invalid="ignore"):
        closer = off / np.maximum(twin, 0.5)
        found = np.where(paired[:, None] & (off > 2.0), ramp(closer, 2.0, 4.0), 0.0)
    score, joint, _ = worst(found, off)
    return score, joint


def _by_body(table: PeopleTable, some: slice) -> tuple[F64, NDArray[np.int64]]:
    """Face, shoulders and hips that are seen from opposite sides; limbs that cross over."""
    px = table.arrays["px"][:, some].astype(np.float64).reshape(len(table.joints), 2, -1)
    state = table.arrays["state"][:, some]
    names = {name: j for j, name in enumerate(table.joints)}
    found, at = _limbs(px, state, names)
    wanted = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if not all(name in names for name in wanted):
        return found, at
    left_sh, right_sh, left_hip, right_hip = (px[names[n]] for n in wanted)
    trunk_known = np.logical_and.reduce([_known(px, state, names[n]) for n in wanted])
    down = (left_hip + right_hip - left_sh - right_sh) / 2
    shoulders, hips = _turn(left_sh - right_sh, down), _turn(left_hip - right_hip, down)
    wide_sh = _length(left_sh - right_sh) / np.maximum(_length(down), 1e-9)
    wide_hip = _length(left_hip - right_hip) / np.maximum(_length(down), 1e-9)
    against = np.minimum(np.abs(shoulders), np.abs(hips)) * (shoulders * hips < 0)
    twisted = ramp(against, 0.3, 0.7) * ramp(np.minimum(wide_sh / 0.5, wide_hip / 0.25), 0.6, 1.2)
    twisted = np.where(trunk_known, twisted, 0.0)
    at = np.where(twisted > found, names["left_shoulder"], at)
    found = np.maximum(found, twisted)
    whole = _face_and_trunk(px, state, names)
    at = np.where(whole > found, names["left_shoulder"], at)
    return np.maximum(found, whole), at


def _face_and_trunk(px: F64, state: NDArray[np.uint8], names: dict[str, int]) -> F64:
    """Nose and eyes in sight, yet turned as if seen from behind, and so is the trunk.

    A trunk seen from its side says nothing; then the face has to be sure.
    """
    wanted = ("nose", "left_eye", "right_eye")
    if not all(name in names for name in wanted):
        return np.zeros(px.shape[2])
    nose, left_eye, right_eye = (px[names[n]] for n in wanted)
    seen = np.logical_and.reduce([state[names[n]] == 2 for n in wanted])
    seen &= np.isfinite(nose).all(axis=0)
    left_sh, right_sh = px[names["left_shoulder"]], px[names["right_shoulder"]]
    left_hip, right_hip = px[names["left_hip"]], px[names["right_hip"]]
    both = _known(px, state, names["left_shoulder"]) & _known(px, state, names["right_shoulder"])
    hips = _known(px, state, names["left_hip"]) & _known(px, state, names["right_hip"])
    face = _turn(left_eye - right_eye, nose - (left_eye + right_eye) / 2)
    over = np.where(hips, left_hip + right_hip, left_sh + right_sh)
    under = np.where(hips, left_sh + right_sh, left_eye + right_eye)
    down = (over - under) / 2
    wide = _length(left_sh - right_sh) > _FLAT * _length(down)
    trunk = _turn(left_sh - right_sh, down)
    sure = np.where(wide, ramp(-face, 0.15, 0.5) * ramp(-trunk, 0.15, 0.5), ramp(-face, 0.5, 0.85))
    # Both turned alike is a person seen from behind, whose face nobody sees; a face from the
    # front over a back is somebody who looks round, or exchanged shoulders: half as sure.
    round_ = 0.5 * ramp(face, 0.6, 0.9) * ramp(-trunk, 0.6, 0.9) * wide
    return np.where(seen & both, np.maximum(sure, round_), 0.0)


def _limbs(
    px: F64, state: NDArray[np.uint8], names: dict[str, int]
) -> tuple[F64, NDArray[np.int64]]:
    """Pairs of limbs that cross over: their ends lie the other way round than their beginnings."""
    best, at = np.zeros(px.shape[2]), np.full(px.shape[2], -1)
    for upper, lower, most in _PAIRS:
        ends = [f"left_{upper}", f"right_{upper}", f"left_{lower}", f"right_{lower}"]
        if not all(name in names for name in ends):
            continue
        known = np.logical_and.reduce([_known(px, state, names[n]) for n in ends])
        a, b, c, d = (px[names[n]] for n in ends)
        above, below = a - b, c - d
        limb = (_length(a - c) + _length(b - d)) / 2
        wide = np.minimum(_length(above), _length(below))
        with np.errstate(invalid="ignore"):
            against = -(above * below).sum(axis=0) / np.maximum(
                _length(above) * _length(below), 1e-9
            )
        found = most * ramp(against, 0.3, 0.8) * ramp(wide / np.maximum(limb, 1e-9), 0.15, 0.4)
        found = np.where(known, found, 0.0)
        at = np.where(found > best, names[f"left_{lower}"], at)
        best = np.maximum(best, found)
    return best, at


def _known(px: F64, state: NDArray[np.uint8], joint: int) -> Mask:
    return np.isin(state[joint], (1, 2)) & np.isfinite(px[joint]).all(axis=0)


def _turn(side: F64, down: F64) -> F64:
    """Return (N,) sines from `side` to `down` (2, N): positive when seen from the front."""
    size = _length(side) * _length(down)
    with np.errstate(invalid="ignore"):
        turned = (side[0] * down[1] - side[1] * down[0]) / np.maximum(size, 1e-9)
    return np.nan_to_num(turned)


def _length(vectors: F64) -> F64:
    return np.nan_to_num(np.hypot(vectors[0], vectors[1]))
