"""Where people look once they stand: into the camera, at somebody else, away, or as posed.

Only neck and eyes turn, inside their limits; a head that cannot turn so far stays as its pose has
it. Each person has a random stream for it.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from synthstudio.core.scene import F64
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import PersonSpec, PoseSpec, ThingSpec
from synthstudio.recipe.layout.placement import Layout, Placed
from synthstudio.recipe.sampling.choose import pick_one

_AT_HEAD = frozenset({"phone", "cup"})
"""Grips of things that are held to the head: it keeps its pose."""
_EYES_SHARE, _EYES_RAD = 0.25, math.radians(14)
_TURN_RAD, _DOWN_RAD, _UP_RAD = math.radians(64), math.radians(38), math.radians(42)
_AWAY_RAD = (math.radians(60), math.radians(15))
_SOFT_M = 0.02
_UPRIGHT = 0.5
"""The least cosine of the trunk against the vertical; lying heads may rest on the floor."""


def look_about(layout: Layout, standing: list[Placed]) -> list[Placed]:
    """Return the same people and things, with heads turned as `people.poses.look` asks."""
    weights = {str(k): v for k, v in layout.draw.recipe.people.poses.look.items()}
    if not any(weight for what, weight in weights.items() if what != "pose"):
        return standing
    out = list(standing)
    for place, one in enumerate(standing):
        if not isinstance(one.item, PersonSpec):
            break  # people come first
        rng = layout.draw.rng("look", place)
        what = pick_one(sorted(weights), rng, weights=weights)
        aside, lift = ((2 * float(u) - 1) for u in rng.random(2))
        if what == "pose" or _holds_to_head(layout, place) or one.item.pose.turns:
            continue
        if what == "away":
            pose = _turned(one.item.pose, aside * _AWAY_RAD[0], lift * _AWAY_RAD[1])
        else:
            pose = _aimed(layout, one.item, out, place, what)
        if pose is not None:
            out[place] = _if_free(layout, out, place, pose)
    return out


def _holds_to_head(layout: Layout, place: int) -> bool:
    contact = layout.contacts.get(place)
    return contact is not None and any(kind.grip in _AT_HEAD for kind in contact.kinds)


def _aimed(
    layout: Layout, person: PersonSpec, everybody: list[Placed], place: int, what: str
) -> PoseSpec | None:
    """Return the pose with the head towards the camera or the nearest head, or None."""
    eye = _nose_m(layout, person)
    targets = [np.array(layout.camera.position_m)]
    if what == "person":
        people = [p.item for k, p in enumerate(everybody) if k != place]
        targets = [_nose_m(layout, p) for p in people if isinstance(p, PersonSpec)]
    if not targets:
        return None
    way = min((target - eye for target in targets), key=lambda d: float(np.linalg.norm(d)))
    trunk = trunk_turn(person)
    if trunk[2, 2] < _UPRIGHT:
        return None
    x, y, z = trunk.T @ (way / max(float(np.linalg.norm(way)), 1e-6))
    return _turned(person.pose, math.atan2(x, -y), math.asin(max(-1.0, min(1.0, z))))


def _nose_m(layout: Layout, person: PersonSpec) -> F64:
    names = get_skeleton(layout.draw.recipe.skeleton).joints
    return layout.solve.joints_m(person)[names.index("nose")]


def trunk_turn(person: PersonSpec) -> F64:
    """Return (3, 3): the turn of the top of the spine from facing -y (axes: body/poses.py)."""
    get = person.pose.angles_rad.get
    part = _trunk(*(get(f"spine_{k}", 0.0) / 4 for k in ("flexion", "side_bend", "turn")))
    root = _about(0, get("root_pitch", 0.0)) @ _about(1, get("root_roll", 0.0))
    return _about(2, person.yaw_rad) @ root @ np.linalg.matrix_power(part, 4)


def _trunk(flexion: float, side_bend: float, turn: float) -> F64:
    return _about(2, turn) @ _about(0, flexion) @ _about(1, side_bend)


def _about(axis: int, angle: float) -> F64:
    """Return the rotation about world x, y or z."""
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out = np.eye(3)
    out[i, i] = out[j, j] = math.cos(angle)
    out[j, i], out[i, j] = math.sin(angle), -math.sin(angle)
    return out


def _turned(pose: PoseSpec, turn: float, lift: float) -> PoseSpec | None:
    """Return the pose that looks that far to the left and up of the trunk, or None: too far."""
    eyes_turn, eyes_lift = (_within(_EYES_SHARE * a, _EYES_RAD) for a in (turn, lift))
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


def _within(value: float, most: float) -> float:
    return max(-most, min(most, value))


def _if_free(layout: Layout, everybody: list[Placed], place: int, pose: PoseSpec) -> Placed:
    """Return the person in that pose, or as before where the head would then touch something."""
    old = everybody[place]
    assert isinstance(old.item, PersonSpec)
    person = dataclasses.replace(old.item, pose=pose)
    new = Placed(item=person, box_m=layout.solve.box_m(person))
    others = [p for k, p in enumerate(everybody) if k != place and not _own(p.item, place)]
    deeper, before = (
        layout.solve.touches_m(person.phenotype, dict(p.angles_rad)) for p in (pose, old.item.pose)
    )
    return new if layout.free(new, others) and deeper <= max(before, _SOFT_M) else old


def _own(item: PersonSpec | ThingSpec, place: int) -> bool:
    return isinstance(item, ThingSpec) and (
        item.held_by == place or item.role in ("seat", "support")
    )
