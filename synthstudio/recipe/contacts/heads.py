"""Turning heads to a target: neck and eyes only, within their limits."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from synthstudio.core.scene import F64
from synthstudio.core.spec import PersonSpec, PoseSpec

_EYES_SHARE, _EYES_RAD = 0.25, math.radians(14)
_TURN_RAD, _DOWN_RAD, _UP_RAD = math.radians(64), math.radians(38), math.radians(42)
_UPRIGHT = 0.5
"""The least cosine of the trunk against the vertical; a lying head may rest on the floor."""


def looking(person: PersonSpec, way: F64) -> PoseSpec | None:
    """The pose with the head turned along `way`; None if out of range or lying."""
    trunk = trunk_turn(person)
    if trunk[2, 2] < _UPRIGHT:
        return None
    x, y, z = trunk.T @ (way / max(float(np.linalg.norm(way)), 1e-6))
    return rotated(person.pose, math.atan2(x, -y), math.asin(max(-1.0, min(1.0, z))))


def trunk_turn(person: PersonSpec) -> F64:
    """Return (3, 3) the rotation of the top of the spine from facing -y (axes: body/poses.py)."""
    get = person.pose.angles_rad.get
    bend, side, turn = (get(f"spine_{k}", 0.0) / 4 for k in ("flexion", "side_bend", "turn"))
    part = _about(2, turn) @ _about(0, bend) @ _about(1, side)
    root = _about(0, get("root_pitch", 0.0)) @ _about(1, get("root_roll", 0.0))
    return _about(2, person.yaw_rad) @ root @ np.linalg.matrix_power(part, 4)


def _about(axis: int, angle: float) -> F64:
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.eye(3)
    out[i, i] = out[j, j] = math.cos(angle)
    out[j, i], out[i, j] = math.sin(angle), -math.sin(angle)
    return out


def rotated(pose: PoseSpec, turn: float, lift: float) -> PoseSpec | None:
    """The pose looking so far to the left and up of the trunk; None if out of range."""
    eyes_turn, eyes_lift = (max(-_EYES_RAD, min(_EYES_RAD, _EYES_SHARE * a)) for a in (turn, lift))
    neck_turn, neck_lift = turn - eyes_turn, lift - eyes_lift
    if abs(neck_turn) > _TURN_RAD or not -_DOWN_RAD <= neck_lift <= _UP_RAD:
        return None
    angles = dict(pose.angles_rad) | {
        "neck_turn": round(neck_turn, 4),
        "neck_flexion": round(-neck_lift, 4),
        "neck_side_bend": 0.0,
        "gaze_turn": round(eyes_turn, 4),
        "gaze_lift": round(eyes_lift, 4),
    }
    kept = {name: value for name, value in sorted(angles.items()) if value != 0.0}
    return dataclasses.replace(pose, angles_rad=kept)
