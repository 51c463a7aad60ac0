"""Two people's arms bent so that their hands meet, or lie on the other: least squares over angles.

Arms and trunks turn within their limits, the second person moves over the floor. Each residual is
an error over what of it is small: where palms lie and how they face, how deep capsules overlap
(body/capsules.py), how far an angle strays from the pose that it began with. Hands are carried by
the bones during the search; afterwards the skin is posed anew, hands and spots are taken from it,
and the search goes on from there. What comes out is judged on the skin alone.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from synthstudio.body import capsules
from synthstudio.body.atlas import BareBody, load_atlas
from synthstudio.body.capsules import Frames
from synthstudio.body.poses import BONES, LIMITS_RAD
from synthstudio.body.spots import Spot, spot
from synthstudio.core.scene import F64
from synthstudio.core.solve import Touch
from synthstudio.core.spec import PersonSpec

TOUCH_M = 0.015
"""So near must a palm come to what it touches."""
DEEP_M = 0.02
"""So deep may two people's skins lie in each other."""
OWN_DEEP_M = 0.03
"""So deep may capsules of one body overlap, unless they already did."""
SKIN_M = 0.015
"""From a palm's origin, the middle of a bar, back to the skin."""
_HOLLOW_M = 0.005
"""Between two palms: balls and heels of the hands touch first."""
_ARM_RAD = {
    "shoulder_flexion": 0.5,
    "shoulder_abduction": 0.4,
    "shoulder_rotation": 0.5,
    "shoulder_horizontal_adduction": 0.35,
    "elbow_flexion": 0.5,
    "forearm_pronation": 0.6,
    "wrist_flexion": 0.35,
    "wrist_deviation": 0.2,
}
"""Angles of an arm that bend, and by how much for a residual of 1."""
_TRUNK_RAD = {"spine_flexion": 0.12, "spine_side_bend": 0.08, "spine_turn": 0.12}
_PLACE = (0.12, 0.12, 0.2)  # metres, metres, radians of the second person
_NEAR_M, _FACING, _FINGERS, _OVERLAP_M = 0.004, 0.3, 0.5, 0.005
_APART_M, _PRESSED_M = 0.012, -0.035
"""Capsules stay so far apart; a hand's may overlap what it lies on: both are rounder than skin."""
_OWN_M = 0.008
_LIES_M = 0.004
_ROUNDS, _STEPS, _HALVES = 3, 12, 4
_DAMP, _EASE, _STILL = 0.01, 0.3, 0.003
_STEP = 1e-5
_CLOTH_M, _ASIDE_M = 0.045, 0.025
_SKIN_NEAR_M = 0.08
_BELOW = 0.6
"""The least cosine between a skin's normal and the way back to it from a point below."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Posed:
    """A person's body in its own frame, and the vertices of what it wears."""

    bare: BareBody
    palms: F64  # (2, 4, 4) left, right: core.solve.Solve.palms_m
    worn_m: F64  # (N, 3)
    drop_m: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Anchor:
    """A point carried by a bone, with two directions, in the bone's own axes."""

    who: int
    bone: int
    point_m: F64
    out: F64  # out of the palm or the skin
    fingers: F64

    def at(self, frames: Frames) -> tuple[F64, F64, F64]:
        """Return the point and both directions among bones."""
        turn = frames.turns[self.bone]
        return (
            frames.heads_m[self.bone] + turn @ self.point_m,
            turn @ self.out,
            turn @ self.fingers,
        )


Pair = tuple[PersonSpec, PersonSpec]


def meet(
    people: Pair, touches: tuple[Touch, ...], posed: Callable[[PersonSpec], Posed]
) -> Pair | None:
    """Return the two as `core.solve.Solve.meet` says, or None."""
    first = people
    for _ in range(_ROUNDS):
        before = _standing(people, posed)
        people = _standing(_Search(first, before, touches, posed).found(), posed)
        if good(people, first, touches, posed):
            return people
        if people == before:
            break
    return None


def good(
    people: Pair, first: Pair, touches: tuple[Touch, ...], posed: Callable[[PersonSpec], Posed]
) -> bool:
    """Return whether palms are where they shall be, and no limb lies in another.

    One's own limbs may touch as they did in `first`, the poses that the two began with.
    """
    for touch in touches:
        ends = _anchors(people, touch, posed)
        places = [end.at(_placed(people[end.who])) for end in ends]
        if float(np.linalg.norm(places[0][0] - places[1][0])) > TOUCH_M:
            return False
    for person, begun in zip(people, first, strict=True):
        now, then = (
            capsules.touches_m(p.phenotype, dict(p.pose.angles_rad)) for p in (person, begun)
        )
        if now > max(OWN_DEEP_M, then + _OWN_M):
            return False
    return deepest_m(*(_skin_m(person, posed(person).bare) for person in people)) <= DEEP_M


def deepest_m(a: F64, b: F64) -> float:
    """Return about how deep one of two skins' vertices (V, 3) lies in the other; 0 if apart."""
    return max(_below_m(a, b), _below_m(b, a))


def _below_m(points: F64, vertices: F64) -> float:
    """Return how deep the deepest of the points lies under a skin, by its nearest vertices."""
    skin = np.unique(_skin_faces())
    low, high = vertices[skin].min(axis=0), vertices[skin].max(axis=0)
    own = points[skin]
    own = own[((own > low) & (own < high)).all(axis=1)]
    if not len(own):
        return 0.0
    away, nearest = cKDTree(vertices[skin]).query(own, distance_upper_bound=_SKIN_NEAR_M)
    near = np.isfinite(away)
    nearest = skin[nearest[near]]
    back = vertices[nearest] - own[near]
    depth = (back * _normals(vertices)[nearest]).sum(axis=1)
    depth[depth < _BELOW * away[near]] = 0.0
    return float(depth.max(initial=0.0))


def _skin_faces() -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    atlas = load_atlas()
    return atlas.body_faces[atlas.skin_face]


def _normals(vertices: F64) -> F64:
    """Return (V, 3) unit normals, 0 off the skin."""
    faces = _skin_faces()
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    total = np.stack(
        [
            sum(np.bincount(faces[:, k], across[:, i], len(vertices)) for k in range(3))
            for i in range(3)
        ],
        axis=1,
    )
    out: F64 = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return out


def _standing(people: Pair, posed: Callable[[PersonSpec], Posed]) -> Pair:
    """Return the two with their lowest vertex on the floor."""
    a, b = (
        dataclasses.replace(p, position_m=(*p.position_m[:2], posed(p).drop_m)) for p in people
    )
    return a, b


def _turn(yaw_rad: float) -> F64:
    c, s = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _skin_m(person: PersonSpec, bare: BareBody) -> F64:
    out: F64 = bare.vertices_m.astype(np.float64) @ _turn(person.yaw_rad).T
    return out + np.array(person.position_m)


def _moved(frames: Frames, yaw_rad: float, position_m: F64) -> Frames:
    turn = _turn(yaw_rad)
    return Frames(
        heads_m=frames.heads_m @ turn.T + position_m,
        turns=turn @ frames.turns,
        ends_m=frames.ends_m @ turn.T + position_m,
        radius_m=frames.radius_m,
    )


def _placed(person: PersonSpec) -> Frames:
    frames = capsules.frames(person.phenotype, dict(person.pose.angles_rad))
    return _moved(frames, person.yaw_rad, np.array(person.position_m))


# Anchors -----------------------------------------------------------------------------------


def _anchors(
    people: Pair, touch: Touch, posed: Callable[[PersonSpec], Posed]
) -> tuple[Anchor, Anchor]:
    """Return the palm of a touch and what it lies on, each where the skin has it now."""
    other = 1 - touch.of
    ends = []
    for who, name in ((touch.of, touch.palm), (other, touch.on)):
        body = posed(people[who])
        if name.endswith("palm"):
            ends.append(_palm(who, name, people[who], body))
        else:
            ends.append(_spot(who, spot(name), people[who], body))
    return ends[0], ends[1]


def _palm(who: int, name: str, person: PersonSpec, body: Posed) -> Anchor:
    left = name == "left_palm"
    palm = body.palms[0 if left else 1]
    out, fingers = palm[:3, 2], palm[:3, 1] * (-1 if left else 1)
    bone = BONES.index(f"wrist.{'L' if left else 'R'}")
    point = palm[:3, 3] - (SKIN_M - _HOLLOW_M) * out
    return _carried(who, bone, (point, out, fingers), person)


def _spot(who: int, own: Spot, person: PersonSpec, body: Posed) -> Anchor:
    """Return a spot of the skin, or of what is worn over it."""
    vertices = body.bare.vertices_m.astype(np.float64)
    out = _normals(vertices)[own.round].mean(axis=0)
    out /= np.linalg.norm(out)
    way = body.worn_m - vertices[own.vertex]
    along = way @ out
    aside = np.linalg.norm(way - along[:, None] * out, axis=1)
    over = along[(aside < _ASIDE_M) & (along > 0) & (along < _CLOTH_M)]
    point = vertices[own.vertex] + (_LIES_M + float(over.max(initial=0.0))) * out
    return _carried(who, own.bone, (point, out, out), person)


def _carried(
    who: int, bone: int, at: tuple[F64, F64, F64], person: PersonSpec
) -> Anchor:
    frames = capsules.frames(person.phenotype, dict(person.pose.angles_rad))
    back = frames.turns[bone].T
    point, out, fingers = at
    return Anchor(
        who=who,
        bone=bone,
        point_m=back @ (point - frames.heads_m[bone]),
        out=back @ out,
        fingers=back @ fingers,
    )


# The search --------------------------------------------------------------------------------


class _Search:
    """One search: variables are the angles of both in order, and the second's x, y and yaw."""

    def __init__(
        self,
        first: Pair,
        people: Pair,
        touches: tuple[Touch, ...],
        posed: Callable[[PersonSpec], Posed],
    ) -> None:
        self.people, self.touches = people, touches
        self.ends = [_anchors(people, touch, posed) for touch in touches]
        self.names = tuple(_bending(who, touches) for who in (0, 1))
        self.begun = np.concatenate([self._values(first), self._place(first[1])])
        self.scale = np.concatenate([self._scales(0), self._scales(1), _PLACE])
        self.apart_m = _apart_m(touches)
        self.own = [
            np.maximum(capsules.own_overlaps_m(self._frames(who, self._values_of(who, first))), 0.0)
            for who in (0, 1)
        ]
        self.split = len(self.names[0])

    def found(self) -> Pair:
        """Return the two where the search ends."""
        start = np.concatenate([self._values(self.people), self._place(self.people[1])])
        low, high = self._bounds()
        end = self._descended(np.clip(start, low, high), low, high)
        out = []
        for who, person in enumerate(self.people):
            angles = dict(person.pose.angles_rad)
            own = end[: self.split] if who == 0 else end[self.split : -3]
            for name, value in zip(self.names[who], own, strict=True):
                least, most = LIMITS_RAD[name]
                angles[name] = min(max(round(float(value), 4), least), most)
            angles = {k: v for k, v in sorted(angles.items()) if v != 0 or k.endswith("curl")}
            pose = dataclasses.replace(person.pose, angles_rad=angles)
            out.append(dataclasses.replace(person, pose=pose))
        x, y, yaw = (round(float(v), 5) for v in end[-3:])
        place = (x, y, self.people[1].position_m[2])
        return out[0], dataclasses.replace(out[1], position_m=place, yaw_rad=yaw)

    def _descended(self, x: F64, low: F64, high: F64) -> F64:
        """Return where steps of Levenberg and Marquardt (1963) end, cut to the limits."""
        damp, errors = _DAMP, self._residuals(x)
        for _ in range(_STEPS):
            slopes = self._slopes(x, errors)
            square, down = slopes.T @ slopes, slopes.T @ errors
            free = ~(((x <= low) & (down > 0)) | ((x >= high) & (down < 0)))
            before = float(errors @ errors)
            for _ in range(_HALVES):
                own = square[np.ix_(free, free)]
                step = np.zeros(len(x))
                step[free] = np.linalg.solve(own + damp * np.diag(np.diag(own)), -down[free])
                tried = np.clip(x + step, low, high)
                after = self._residuals(tried)
                if float(after @ after) < before:
                    x, errors, damp = tried, after, damp * _EASE
                    break
                damp /= _EASE**2
            if float(errors @ errors) > (1 - _STILL) * before:
                break
        return x

    def _values_of(self, who: int, people: Pair) -> F64:
        angles = people[who].pose.angles_rad
        return np.array([angles.get(name, 0.0) for name in self.names[who]])

    def _values(self, people: Pair) -> F64:
        return np.concatenate([self._values_of(who, people) for who in (0, 1)])

    def _place(self, person: PersonSpec) -> F64:
        return np.array([*person.position_m[:2], person.yaw_rad])

    def _scales(self, who: int) -> F64:
        known = _ARM_RAD | _TRUNK_RAD
        stems = (n.removeprefix("left_").removeprefix("right_") for n in self.names[who])
        return np.array([known[stem] for stem in stems])

    def _bounds(self) -> tuple[F64, F64]:
        limits = [LIMITS_RAD[name] for own in self.names for name in own]
        low, high = np.array(limits).T
        free = np.full(3, np.inf)
        return np.concatenate([low, -free]), np.concatenate([high, free])

    def _frames(self, who: int, values: F64) -> Frames:
        person = self.people[who]
        angles = dict(person.pose.angles_rad) | dict(
            zip(self.names[who], values.tolist(), strict=True)
        )
        return capsules.frames(person.phenotype, angles)

    def _alone(self, who: int, values: F64) -> tuple[Frames, F64]:
        """Return one's bones, and how much deeper its own limbs overlap than at first."""
        frames = self._frames(who, values)
        deeper = capsules.own_overlaps_m(frames) - self.own[who] - _OWN_M
        return frames, np.maximum(deeper, 0.0) / _OVERLAP_M

    def _errors(self, x: F64, a: tuple[Frames, F64], b: tuple[Frames, F64]) -> F64:
        z = self.people[1].position_m[2]
        first = self.people[0]
        placed = (
            _moved(a[0], first.yaw_rad, np.array(first.position_m)),
            _moved(b[0], float(x[-1]), np.array([x[-3], x[-2], z])),
        )
        out = [a[1], b[1], (x - self.begun) / self.scale]
        for touch, (hand, on) in zip(self.touches, self.ends, strict=True):
            (p, p_out, p_way), (q, q_out, q_way) = (e.at(placed[e.who]) for e in (hand, on))
            out += [(p - q) / _NEAR_M, (p_out + q_out) / _FACING]
            if touch.fingers:
                out.append((p_way - (1 if touch.fingers == "along" else -1) * q_way) / _FINGERS)
        over = capsules.overlaps_m(*placed) + self.apart_m
        out.append(np.maximum(over, 0.0).ravel() / _OVERLAP_M)
        return np.concatenate(out)

    def _both(self, x: F64) -> tuple[tuple[Frames, F64], tuple[Frames, F64]]:
        return self._alone(0, x[: self.split]), self._alone(1, x[self.split : -3])

    def _residuals(self, x: F64) -> F64:
        return self._errors(x, *self._both(x))

    def _slopes(self, x: F64, here: F64) -> F64:
        """Return (R, X) derivatives by forward differences; one's angles leave the other be."""
        a, b = self._both(x)
        out = np.empty((len(here), len(x)))
        for k in range(len(x)):
            moved = x.copy()
            moved[k] += _STEP
            now_a = self._alone(0, moved[: self.split]) if k < self.split else a
            turns = self.split <= k < len(x) - 3
            now_b = self._alone(1, moved[self.split : -3]) if turns else b
            out[:, k] = (self._errors(moved, now_a, now_b) - here) / _STEP
        return out


def _bending(who: int, touches: tuple[Touch, ...]) -> tuple[str, ...]:
    """Return the angles of one of the two that bend: of arms whose palm touches, and the trunk."""
    sides = {touch.palm.removesuffix("palm") for touch in touches if touch.of == who}
    sides |= {t.on.removesuffix("palm") for t in touches if t.of != who and t.on.endswith("palm")}
    return (*(side + stem for side in sorted(sides) for stem in _ARM_RAD), *_TRUNK_RAD)


def _apart_m(touches: tuple[Touch, ...]) -> F64:
    """Return (N, N) how far capsules of the first and the second stay apart."""
    parts = capsules.parts()
    out = np.full((len(parts), len(parts)), _APART_M)
    for touch in touches:
        hand = touch.palm.removesuffix("_palm") + "_hand"
        on = _parts_of(touch.on)
        soft = np.outer([part == hand for part in parts], [part in on for part in parts])
        out[soft if touch.of == 0 else soft.T] = _PRESSED_M
    return out


def _parts_of(on: str) -> tuple[str, ...]:
    side = on.partition("_")[0]
    if on.endswith("_palm"):
        return (f"{side}_hand",)
    if on.endswith(("shoulder", "upper_arm")):
        return ("trunk", f"{side}_upper_arm")
    return ("trunk",)
