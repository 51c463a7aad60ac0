"""Places of held objects: each grip puts an object into a hand, between hands or on the back.

An object is built with its base's centre at the origin, z up, its front to -y.
`ObjectKind.grip_share` is the grip point, in fractions of its size.
Palms: `GeometryQueries.palms_m`.
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.catalogue import GeometryQueries, ObjectKind
from synthstudio.core.spec import PersonSpec, Vec3
from synthstudio.recipe.sampling.people import facing

SKIN_M = 0.015
"""From a palm's origin, the middle of a bar, back to the skin."""
CLOTHES_M = 0.008
_UP = np.array([0.0, 0.0, 1.0])
_LEGS = ("pelvis", "left_thigh", "right_thigh", "left_shin", "right_shin")
_FEET = ("left_foot", "right_foot", "left_shin", "right_shin")
_OFF_MIDDLE = (0.0, 0.08, -0.08, 0.16, -0.16)
"""Horizontal grip point of a standing object: fractions of its width off the middle."""
_SWING_RAD = np.radians(np.arange(0, 31, 5))
_SOFT_M = 0.008
_HANDS = ("left_hand", "right_hand")
_PALM_HALF_M, _RAISED_M = 0.032, 0.022
"""Half a palm's width; also how far above a palm's origin fingertips may lift a tray."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A person on the floor, and the random choices for the held object."""

    geometry: GeometryQueries
    person: PersonSpec
    kind: ObjectKind
    hand: str  # left_hand, right_hand, both_hands or back
    size_m: Vec3
    joints: dict[str, F64]  # (3,) each

    @property
    def left(self) -> F64:
        return np.array([math.cos(self.person.yaw_rad), math.sin(self.person.yaw_rad), 0.0])

    @property
    def side(self) -> float:
        """1 for the left hand, -1 for the right."""
        return 1.0 if self.hand == "left_hand" else -1.0

    def palm(self) -> F64:
        """The (4, 4) palm of the holding hand."""
        return np.asarray(self.geometry.palms_m(self.person)[0 if self.hand == "left_hand" else 1])

    def fingers(self) -> F64:
        """The unit vector from wrist to knuckles of the holding hand."""
        return -self.side * self.palm()[:3, 1]

    def skin(self, parts: tuple[str, ...]) -> F64:
        """Return (N, 3) points on the holder's skin."""
        return self.geometry.skin_m(self.person, parts)

    def fitted(self, axis: int, wanted_m: float) -> float:
        """The natural size of the kind nearest to `wanted_m`."""
        low, high = self.kind.size_low_m[axis], self.kind.size_high_m[axis]
        return min(max(wanted_m, low), high)


@dataclass(frozen=True, kw_only=True)
class GripTransform:
    """An object's rotation (3, 3), origin (3,) and final size."""

    turn: F64
    origin_m: F64
    size_m: Vec3
    shape: dict[str, float] = field(default_factory=dict)


def angles_of(turn: F64) -> tuple[float, float, float]:
    """Yaw, pitch and roll with Rz(yaw) Rx(pitch) Ry(roll) = turn."""
    pitch = math.asin(min(1.0, max(-1.0, float(turn[2, 1]))))
    roll = math.atan2(-float(turn[2, 0]), float(turn[2, 2]))
    return math.atan2(-float(turn[0, 1]), float(turn[1, 1])), pitch, roll


def _unit(vector: F64) -> F64:
    return np.asarray(vector / np.linalg.norm(vector))


def _level(vector: F64) -> F64:
    return _unit(np.array([vector[0], vector[1], 0.0]))


def _axes(*, x: F64, z: F64) -> F64:
    """The rotation with columns x (orthogonalized to z), y and z."""
    z = _unit(z)
    x = _unit(x - z * (x @ z))
    return np.stack([x, np.cross(z, x), z], axis=1)


def _at(
    holder: Holder, turn: F64, point: F64, size: Vec3 | None = None, side: float = 1.0
) -> GripTransform:
    size = size or holder.size_m
    grip = np.array(holder.kind.grip_share) * (side, 1.0, 1.0) * size
    return GripTransform(turn=turn, origin_m=point - turn @ grip, size_m=size)


def _inside_m(put: GripTransform, points: F64) -> float:
    """Largest depth of points inside the object's box; 0 if all are outside."""
    own = (points - put.origin_m) @ put.turn
    x, y, z = put.size_m
    depth = np.stack(
        [x / 2 - np.abs(own[:, 0]), y / 2 - np.abs(own[:, 1]), own[:, 2], z - own[:, 2]]
    ).min(axis=0)
    return max(0.0, float(depth.max(initial=0.0)))


# One hand ----------------------------------------------------------------------------------


def _bar(holder: Holder) -> GripTransform:
    """Put the object's z along the hand's bar, its x to the knuckles."""
    palm = holder.palm()
    return _at(holder, _axes(x=holder.fingers(), z=palm[:3, 0]), palm[:3, 3])


def _shaft(holder: Holder) -> GripTransform:
    """Put the object's z along the hand's bar, half turned to the vertical."""
    palm = holder.palm()
    return _at(holder, _axes(x=facing(holder.person), z=palm[:3, 0] + 0.7 * _UP), palm[:3, 3])


def _cup(holder: Holder) -> GripTransform:
    """Keep the object upright, its side in the palm."""
    palm = holder.palm()
    radius = 0.46 * min(holder.size_m[:2])
    out = palm[:3, 3] + (radius - SKIN_M) * _level(palm[:3, 2])
    return _at(holder, _axes(x=palm[:3, 2], z=_UP), out)


_PHONE_RAD = math.radians(25)


def _phone(holder: Holder) -> GripTransform:
    """Lay the object's back into the palm, its long side between fingers and thumb."""
    palm = holder.palm()
    along = math.cos(_PHONE_RAD) * holder.fingers() + math.sin(_PHONE_RAD) * palm[:3, 0]
    z = _unit(along - palm[:3, 2] * (along @ palm[:3, 2]))
    x = np.cross(-palm[:3, 2], z)
    return _at(holder, _axes(x=x, z=z), palm[:3, 3] - 0.7 * SKIN_M * palm[:3, 2])


def _hang(holder: Holder) -> GripTransform:
    """Let the object hang from the hand: thin and swung out until it clears the legs."""
    palm = holder.palm()
    along = _level(palm[:3, 0])
    out = np.cross(along, _UP)  # across the handle
    out = out if out @ holder.left * holder.side > 0 else -out
    skin = holder.skin(_LEGS)
    wide, deep, tall = holder.size_m
    for swing, share in itertools.product(_SWING_RAD, (1.0, 0.5, 0.0)):
        thick = share * deep + (1 - share) * min(deep, holder.kind.size_low_m[1])
        upright = math.cos(swing) * _UP - math.sin(swing) * out
        put = _at(holder, _axes(x=along, z=upright), palm[:3, 3], (wide, thick, tall))
        if _inside_m(put, skin) < _SOFT_M:
            break
    return put


def _stand(holder: Holder) -> GripTransform:
    """Stand it beside the person, at hand height, clear of the feet; its grip may be aside."""
    palm = holder.palm()
    size = (*holder.size_m[:2], holder.fitted(2, float(palm[2, 3]) / holder.kind.grip_share[2]))
    turn, feet = _axes(x=palm[:3, 0], z=_UP), holder.skin(_FEET)
    puts = [
        _on_floor(_at(holder, turn, palm[:3, 3] + aside * size[0] * turn[:, 0], size))
        for aside in _OFF_MIDDLE
    ]
    return min(puts, key=lambda put: max(_inside_m(put, feet), _SOFT_M))


def _on_floor(put: GripTransform) -> GripTransform:
    return replace(put, origin_m=np.array([*put.origin_m[:2], 0.0]))


def _walk(holder: Holder) -> GripTransform:
    """Stand a bicycle beside the person, its nearer grip in the hand."""
    palm = holder.palm()
    size = (*holder.size_m[:2], holder.fitted(2, float(palm[2, 3]) / holder.kind.grip_share[2]))
    turn = _axes(x=holder.left, z=_UP)
    return _on_floor(_at(holder, turn, palm[:3, 3], size, -holder.side))


# Both hands --------------------------------------------------------------------------------


def _between(holder: Holder) -> tuple[F64, F64, float]:
    """The middle of both palms, the unit vector to the left one and their distance."""
    left, right = holder.geometry.palms_m(holder.person)[:, :3, 3]
    way = left - right
    return (left + right) / 2, _unit(way), float(np.linalg.norm(way))


_CARRIED_AT, _CARRIED_DEEP_M = 0.4, 0.5
"""Hands take a box at this fraction of its height; carried boxes are at most this deep."""


def _carry(holder: Holder) -> GripTransform:
    """Put a box between both palms, its back against the belly."""
    middle, way, apart = _between(holder)
    across = _level(way)
    ahead = np.cross(across, _UP)  # to the front: the box's own front is there too
    ahead = ahead if ahead @ facing(holder.person) > 0 else -ahead
    width = holder.fitted(0, apart + 2 * SKIN_M)
    chin = float(holder.joints["left_shoulder"][2] + holder.joints["right_shoulder"][2]) / 2
    tall = holder.fitted(2, min(holder.size_m[2], (chin - float(middle[2])) / (1 - _CARRIED_AT)))
    low = float(middle[2]) - _CARRIED_AT * tall
    trunk = holder.skin(("torso", "pelvis"))
    beside = np.abs((trunk - middle) @ across) < width / 2
    level = (trunk[:, 2] > low) & (trunk[:, 2] < low + tall)
    belly = float(((trunk - middle) @ ahead)[beside & level].max(initial=-1.0)) + CLOTHES_M
    deep = holder.fitted(1, max(-2 * belly, min(holder.size_m[1], _CARRIED_DEEP_M)))
    origin = middle + (belly + deep / 2) * ahead
    origin[2] = low
    return GripTransform(turn=_axes(x=across, z=_UP), origin_m=origin, size_m=(width, deep, tall))


def _ball(holder: Holder) -> GripTransform:
    """Put a ball between both palms, or under one arm against the side."""
    if holder.hand == "both_hands":
        centre, _, apart = _between(holder)
        size = holder.fitted(0, apart + 2 * SKIN_M - _SOFT_M)
    else:
        palm = holder.palm()
        skin = holder.skin(("torso", "pelvis", "left_thigh", "right_thigh"))
        for size in np.linspace(holder.size_m[0], holder.kind.size_low_m[0], 4).tolist():
            centre = palm[:3, 3] + (size / 2 - SKIN_M) * palm[:3, 2]
            if size / 2 - np.linalg.norm(skin - centre, axis=1).min() < _SOFT_M:
                break
    return GripTransform(
        turn=_axes(x=holder.left, z=_UP),
        origin_m=centre - size / 2 * _UP,
        size_m=(size, size, size),
    )


def _read(holder: Holder) -> GripTransform:
    """Hold a panel before the eyes with both hands behind it."""
    middle, way, apart = _between(holder)
    eyes = (holder.joints["left_eye"] + holder.joints["right_eye"]) / 2
    x = -way
    normal = eyes - middle
    normal = _unit(normal - x * (normal @ x))
    size = (holder.fitted(0, apart + 0.02), *holder.size_m[1:])
    turn = np.stack([x, -normal, np.cross(x, -normal)], axis=1)
    return _at(holder, turn, middle - 0.8 * SKIN_M * normal, size)


def _tray(holder: Holder) -> GripTransform:
    """Lay the object on the palms, clear of the trunk."""
    if holder.hand == "both_hands":
        middle, way, _ = _between(holder)
        skin = holder.skin(("torso",))
    else:
        middle, way = holder.palm()[:3, 3], holder.left
        skin = holder.skin(("head", "scalp", "neck", "torso"))
    turn = _axes(x=_level(way if way @ holder.left > 0 else -way), z=_UP)
    middle = middle * (1, 1, 0) + _top_of_hands_m(holder) * _UP
    put = _at(holder, turn, middle)
    own = (skin - put.origin_m) @ turn
    near = (np.abs(own[:, 0]) < put.size_m[0] / 2) & (own[:, 2] > -0.01)
    near &= own[:, 2] < put.size_m[2] + 0.01
    clear = float((put.size_m[1] / 2 - own[near, 1]).max(initial=0.0))
    forward = min(max(0.0, clear + CLOTHES_M), 0.4 * put.size_m[1])
    return GripTransform(turn=turn, origin_m=put.origin_m - forward * turn[:, 1], size_m=put.size_m)


def _top_of_hands_m(holder: Holder) -> float:
    """The height of the holding hands without thumbs, which grip a rim."""
    tops = []
    for name, palm in zip(_HANDS, holder.geometry.palms_m(holder.person), strict=True):
        if holder.hand in (name, "both_hands"):
            skin = holder.skin((name,))
            flat = np.abs((skin - palm[:3, 3]) @ palm[:3, 0]) < _PALM_HALF_M
            tops.append(min(float(skin[flat, 2].max()), float(palm[2, 3]) + _RAISED_M))
    return max(tops) - _SOFT_M / 2


def _pole(holder: Holder) -> GripTransform:
    """Run a long shaft through both hands down to the floor."""
    palms = holder.geometry.palms_m(holder.person)[:, :3, 3]
    low, high = sorted(palms, key=lambda palm: float(palm[2]))
    axis = _unit(high - low)
    to_floor = float(low[2]) / float(axis[2])
    tall = holder.fitted(2, to_floor + float(np.linalg.norm(high - low)) + 0.12)
    tilt = math.hypot(float(axis[0]), float(axis[1])) / float(axis[2])
    foot = low - to_floor * axis + 0.5 * holder.size_m[1] * tilt * axis
    across = np.cross(_UP, axis)
    across = holder.left if np.linalg.norm(across) < 0.05 else across
    return GripTransform(
        turn=_axes(x=across, z=axis), origin_m=foot, size_m=(*holder.size_m[:2], tall)
    )


def _barbell(holder: Holder) -> GripTransform:
    """Run a bar through both hands from side to side."""
    middle, way, _ = _between(holder)
    return _at(holder, _axes(x=_level(way), z=_UP), middle)


_WHEEL_RAD = math.radians(24)
"""Tilt of a steering wheel: its top is farther away."""


def _steer(holder: Holder) -> GripTransform:
    """Run a wheel's rim through both hands, a half circle apart."""
    middle, way, apart = _between(holder)
    size = holder.fitted(0, apart + 2 * SKIN_M)
    z = math.cos(_WHEEL_RAD) * _UP + math.sin(_WHEEL_RAD) * facing(holder.person)
    turn = _axes(x=way, z=z - way * (z @ way))
    return _at(holder, turn, middle, (size, holder.size_m[1], size))


def _push(holder: Holder) -> GripTransform:
    """Stand a pushed object in front of the person, its handle in both hands."""
    middle, _, _ = _between(holder)
    size = (*holder.size_m[:2], holder.fitted(2, float(middle[2]) / holder.kind.grip_share[2]))
    return _on_floor(_at(holder, _axes(x=holder.left, z=_UP), middle, size))


# On the back -------------------------------------------------------------------------------

_LEVELS = 5
_STRAP_ACROSS = 0.1
_STRAP_M = 0.011
_PIT_M = 0.2


def _back(holder: Holder) -> GripTransform:
    """Strap a backpack to the trunk: its panel on the back, straps over shoulders and chest."""
    joints = holder.joints
    neck = (joints["left_shoulder"] + joints["right_shoulder"]) / 2
    hips = (joints["left_hip"] + joints["right_hip"]) / 2
    up = _unit(neck - hips)
    turn = _axes(x=holder.left, z=up)
    wide, deep, tall = holder.size_m
    own = (holder.skin(("torso", "pelvis")) - neck) @ turn  # left, back, up of the neck
    top = 0.02
    behind = (np.abs(own[:, 0]) < wide / 2) & (own[:, 2] < top) & (own[:, 2] > top - tall)
    panel = float(own[behind, 1].max()) + CLOTHES_M
    strap = np.abs(np.abs(own[:, 0]) - _STRAP_ACROSS) < 0.02
    shoulder = float(own[strap, 2].max()) + CLOTHES_M + _STRAP_M
    pit = shoulder - _PIT_M
    chest = own[:, 1] < 0
    shape = {"body_m": tall}
    for level in range(_LEVELS):
        z = shoulder - (shoulder - pit) * (0.06 + 0.94 * level / (_LEVELS - 1))
        here = strap & chest & (np.abs(own[:, 2] - z) < 0.02)
        front = float(own[here, 1].min(initial=0.0))
        shape[f"strap_{level}_m"] = round(panel - front + CLOTHES_M + _STRAP_M, 4)
    side = float(np.abs(own[np.abs(own[:, 2] - pit) < 0.02, 0]).max())
    base = top - tall
    shape |= {
        "shoulder_m": round(shoulder - base, 4),
        "arm_pit_m": round(pit - base, 4),
        "side_m": round(side, 4),
    }
    reach = max(shape[f"strap_{k}_m"] for k in range(_LEVELS)) + 0.012
    total = (max(wide, 2 * side + 0.024), deep + reach, max(tall, shoulder - base + 0.012))
    centre = panel - reach + total[1] / 2
    origin = neck + turn @ np.array([0.0, centre, base])
    return GripTransform(turn=turn, origin_m=origin, size_m=total, shape=shape)


GRIPS: dict[str, Callable[[Holder], GripTransform]] = {
    "back": _back,
    "ball": _ball,
    "bar": _bar,
    "barbell": _barbell,
    "carry": _carry,
    "cup": _cup,
    "hang": _hang,
    "phone": _phone,
    "pole": _pole,
    "push": _push,
    "read": _read,
    "shaft": _shaft,
    "stand": _stand,
    "steer": _steer,
    "tray": _tray,
    "walk": _walk,
}
"""`ObjectKind.grip` -> the function that places such an object."""
