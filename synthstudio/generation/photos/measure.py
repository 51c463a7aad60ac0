"""Estimates of a photo's camera and floor from its people.

The camera is a pinhole of 50 degrees along the longer side. The floor is a plane on which
everyone stands: a person with a scale of s pixels per metre has its feet at row
`horizon + camera height x s`, a line that is fitted to all people of the photo.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.scene import F64, Bool

FIELD_OF_VIEW_RAD = math.radians(50)

_BONES_M = {
    ("left_shoulder", "left_hip"): 0.48,
    ("right_shoulder", "right_hip"): 0.48,
    ("left_hip", "left_knee"): 0.43,
    ("right_hip", "right_knee"): 0.43,
    ("left_knee", "left_ankle"): 0.41,
    ("right_knee", "right_ankle"): 0.41,
    ("left_shoulder", "left_elbow"): 0.28,
    ("right_shoulder", "right_elbow"): 0.28,
    ("left_elbow", "left_wrist"): 0.25,
    ("right_elbow", "right_wrist"): 0.25,
    ("left_shoulder", "right_shoulder"): 0.36,
}
"""Lengths in an adult of 1.70 m (Drillis and Contini 1966); a view only shortens them."""
_ANKLE_M = 0.08
_ABOVE_FLOOR_M = {"knee": 0.48, "hip": 0.8, "shoulder": 1.25, "nose": 1.4}
"""Lowest first; heights between standing and sitting."""
STATURE_M = 1.68
_TRUNK_M, _HEAD_TO_ANKLE_M = 0.6, 1.5
_EYE_M, _EYE_SD = 1.5, 0.35
_HORIZON, _HORIZON_SD = 0.42, 0.18  # shares of the picture's height
_MIN_EYE_M, _JUMPED_OVER_M = 0.45, 1.1
FEET_SEEN = 0.35
"""Minimum confidence of a stand; below it the feet are unknown."""


@dataclass(frozen=True)
class Stand:
    """A person's scale in px/m, row of the feet, and confidence."""

    px_per_m: float
    foot_px: float
    confidence: float
    upright: bool = False  # as far as is known


def stand(joints: Mapping[str, tuple[float, float]], box: Sequence[float], bottom: float) -> Stand:
    """Where a person stands; `joints` are the labelled ones, `bottom` the last row.

    Scale: the second largest by the bones, which foreshortening only reduces; with too few of
    them the box, as of a standing person, or of a trunk if truncated. Feet:
    below the lowest ankle; else (behind a table, cut off) extrapolated below the
    lowest labelled joint; else, with no joint at all, at the box's lower edge.
    """
    _, y, w, h = box
    lengths = sorted(
        math.dist(joints[a], joints[b]) / metres
        for (a, b), metres in _BONES_M.items()
        if a in joints and b in joints
    )
    cut = y + h >= bottom - 2
    whole = y > 2 and not cut
    from_box = max(h / STATURE_M, w / STATURE_M if whole else w / _TRUNK_M)
    scale = max(
        lengths[-2] if len(lengths) >= 4 else float(np.median(lengths)) if lengths else 0.0,
        _extent(joints) / _HEAD_TO_ANKLE_M,
        from_box if len(lengths) < 3 else from_box * 0.6,
        1.0,
    )
    ankles = [y for n, (_, y) in joints.items() if n.endswith("ankle")]
    if ankles:
        foot = max(max(ankles) + _ANKLE_M * scale, min(y + h, bottom))
        return Stand(scale, foot, 1.0 if len(lengths) >= 3 else 0.5)
    for kind, metres in _ABOVE_FLOOR_M.items():
        rows = [y for n, (_, y) in joints.items() if n.endswith(kind)]
        if rows:
            return Stand(scale, max(max(rows) + metres * scale, y + h), 0.15)
    if not cut:
        return Stand(scale, y + h, 0.4)
    return Stand(scale, y + STATURE_M * scale, 0.1)


def _extent(joints: Mapping[str, tuple[float, float]]) -> float:
    """Vertical distance from the highest of nose, eyes and ears to the lowest ankle, or 0."""
    heads = [y for n, (_, y) in joints.items() if n.endswith(("nose", "eye", "ear"))]
    ankles = [y for n, (_, y) in joints.items() if n.endswith("ankle")]
    return max(0.0, max(ankles) - min(heads)) if heads and ankles else 0.0


@dataclass(frozen=True)
class Floor:
    """The plane on which people stand: the row of the horizon, and the camera height."""

    horizon_px: float
    eye_m: float


def floor(stands: Sequence[Stand], height: int) -> Floor:
    """The least-squares plane: foot = horizon + eye x scale over all people.

    Weighted, with the prior of a camera held by a standing person who looks
    nearly level; two rounds that down-weight outliers.
    """
    known = [
        ((1.0, one.px_per_m), one.foot_px, one.confidence / (0.12 * one.px_per_m + 0.01 * height))
        for one in stands
    ]
    known.append(((1.0, 0.0), _HORIZON * height, 1 / (_HORIZON_SD * height)))
    known.append(((0.0, 1.0), _EYE_M, 1 / _EYE_SD))
    a, b, base = (np.array(column, np.float64) for column in zip(*known, strict=True))
    w: F64 = base
    found_at: NDArray[np.floating] = np.zeros(2)
    for _ in range(3):
        found_at = np.linalg.lstsq(a * w[:, None], b * w, rcond=None)[0]
        off = np.abs(a @ found_at - b) * base
        w = base / np.sqrt(np.maximum(1.0, off))
    return Floor(
        float(np.clip(found_at[0], -0.5 * height, 0.95 * height)),
        float(np.clip(found_at[1], _MIN_EYE_M, 4.0)),
    )


def grounded(found: Stand, plane: Floor, bottom: float) -> Stand:
    """The stand with feet on the common floor.

    Unlabelled feet are placed on the plane, not above `bottom`, the lower edge of
    the box; those of a jumping person are above it.
    """
    on_plane = plane.horizon_px + plane.eye_m * found.px_per_m
    if found.confidence < FEET_SEEN:
        return replace(found, foot_px=max(on_plane, bottom))
    if found.foot_px - plane.horizon_px >= _MIN_EYE_M * found.px_per_m:
        return found
    eye = max(plane.eye_m, _JUMPED_OVER_M)
    return replace(found, foot_px=plane.horizon_px + eye * found.px_per_m)


def focal_px(width: int, height: int) -> float:
    return max(width, height) / 2 / math.tan(FIELD_OF_VIEW_RAD / 2)


def joints_by_name(names: Sequence[str], px: F64, labelled: Bool) -> dict[str, tuple[float, float]]:
    return {
        n: (float(x), float(y))
        for n, (x, y), known in zip(names, px, labelled, strict=True)
        if known and np.isfinite((x, y)).all()
    }


_PARTS = ("shoulder", "hip", "knee", "ankle")
_TELLING = ("nose", *_PARTS)
_METRES = {("shoulder", "hip"): 0.48, ("hip", "knee"): 0.43, ("knee", "ankle"): 0.41}
_LEAN, _BENT = 0.7, 1.6
"""Maximum lean of a body part, and maximum ratio of apparent lengths."""
_SHOE_M = 0.04
"""Minimum extent of the box below the ankle; less means hidden feet."""
_UNKNOWN = 0.1


def refined(found: Stand, joints: Mapping[str, tuple[float, float]], box: Sequence[float]) -> Stand:
    """Return a stand with the scale of an upright person, and no confidence in a box alone.

    The longest of several bones overestimates: standing people are measured shoulders to ankles,
    and from head to foot if both are visible. A box with only an
    arm labelled has no confidence.
    """
    if not any(name.endswith(_TELLING) for name in joints):
        return replace(found, confidence=min(found.confidence, _UNKNOWN))
    scale = _scale_of_parts(joints)
    if scale is None:
        return found
    _, top, _, height = box
    ankle = max(y for name, (_, y) in joints.items() if name.endswith("ankle"))
    if top + height < ankle + _SHOE_M * scale:
        return found
    if top > 2:
        scale = (scale + height / STATURE_M) / 2
    return Stand(scale, found.foot_px, found.confidence, upright=True)


def _scale_of_parts(joints: Mapping[str, tuple[float, float]]) -> float | None:
    """Return the scale in px/m of an upright trunk and legs; None otherwise."""
    middle = {part: _middle(joints, part) for part in _PARTS}
    long = metres = 0.0
    scales = []
    for (above, below), length in _METRES.items():
        a, b = middle[above], middle[below]
        if a is None or b is None:
            if above == "shoulder":
                continue
            return None
        if b[1] <= a[1] or abs(b[0] - a[0]) > _LEAN * (b[1] - a[1]):
            return None
        long, metres = long + math.dist(a, b), metres + length
        scales.append(math.dist(a, b) / length)
    return long / metres if max(scales) <= _BENT * min(scales) else None


def _middle(joints: Mapping[str, tuple[float, float]], part: str) -> tuple[float, float] | None:
    places = [place for name, place in joints.items() if name.endswith(part)]
    if not places:
        return None
    x, y = np.mean(places, axis=0)
    return float(x), float(y)
