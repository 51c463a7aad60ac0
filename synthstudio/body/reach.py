"""Inverse kinematics of two people's touching hands: least squares over joint angles.

Arms and trunks turn within their limits, the second person moves over the floor. Each residual is
an error over what of it is small: where palms lie and how they face, how deep capsules overlap
(body/capsules.py), how far an angle strays from the pose that it began with. Hands are carried by
the bones during the search; afterwards the skin is posed anew, hands and spots are taken from it,
and the search goes on from there. What comes out is judged on the skin alone.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from synthstudio.body import capsules, touching, untangle
from synthstudio.body.capsules import Frames
from synthstudio.body.poses import LIMITS_RAD, rotations_of
from synthstudio.body.touching import Pair, Posed
from synthstudio.core.arrays import F64
from synthstudio.core.catalogue import Touch
from synthstudio.core.skeleton import joint_kind
from synthstudio.core.spec import PersonSpec

TOUCH_M = 0.015
"""Maximum distance of a palm from its target."""
DEEP_M = 0.019
"""Maximum depth of two people's skins in each other."""
OWN_DEEP_M = 0.03
"""Maximum overlap of capsules of one body, unless already larger."""
_ARM_RAD = {
    "shoulder_flexion": 0.5,
    "shoulder_abduction": 0.4,
    "shoulder_rotation": 0.5,
    "elbow_flexion": 0.5,
    "forearm_pronation": 0.6,
    "wrist_flexion": 0.35,
    "wrist_deviation": 0.2,
}
"""Angles of an arm that bend, and their change for a residual of 1."""
_TRUNK_RAD = {"spine_flexion": 0.12, "spine_side_bend": 0.08, "spine_turn": 0.12}
_PLACE = (0.12, 0.12, 0.2)  # metres, metres, radians of the second person
_NEAR_M, _FACING, _FINGERS, _OVERLAP_M = 0.004, 0.2, 0.5, 0.004
_APART_M, _PRESSED_M = 0.014, -0.02
"""Capsules stay so far apart; a hand's may overlap what it lies on: both are rounder than skin."""
_OWN_M = 0.008
_REACH_M = 0.3
"""Capsules that begin farther apart do not meet."""
_HOPELESS_M = 0.12
_LIFT_M = 0.008
_ROUNDS, _STEPS, _HALVES = 4, 10, 4
_DAMP, _EASE, _STILL = 0.01, 0.3, 0.003
_STEP = 1e-5


def meet(
    people: Pair, touches: tuple[Touch, ...], posed: Callable[[PersonSpec], Posed]
) -> Pair | None:
    """Return the two as in `GeometryQueries.meet`, or None."""
    first, lift_m = people, 0.0
    for _ in range(_ROUNDS):
        before = _standing(people, posed)
        people = _standing(_Search(first, before, touches, posed, lift_m).found(), posed)
        away_m = touching.farthest_m(people, touches, posed, lift_m)
        deep_m = touching.deepest_m(
            *(touching.world_skin_m(person, posed(person).bare) for person in people)
        )
        if away_m <= TOUCH_M and deep_m <= DEEP_M and _unfolded(people, first):
            return people
        if away_m > _HOPELESS_M:
            break
        # Fingers that would sink in lie on a hand that is held a little higher.
        lift_m += _LIFT_M if deep_m > DEEP_M else 0.0
    return None


def _unfolded(people: Pair, first: Pair) -> bool:
    """Whether neither lies deeper in itself than at first, by capsules, nor deep, by the skin."""
    for person, initial in zip(people, first, strict=True):
        poses = [person.pose.angles_rad, initial.pose.angles_rad]
        now, then = capsules.self_penetrations_m(person.phenotype, poses)
        if now > max(OWN_DEEP_M, then + _OWN_M):
            return False
        if untangle.deepest_own_m(person.phenotype, dict(person.pose.angles_rad)) > DEEP_M:
            return False
    return True


def _standing(people: Pair, posed: Callable[[PersonSpec], Posed]) -> Pair:
    a, b = (dataclasses.replace(p, position_m=(*p.position_m[:2], posed(p).drop_m)) for p in people)
    return a, b


class _Search:
    """One search: variables are the angles of both in order, and the second's x, y and yaw."""

    def __init__(
        self,
        first: Pair,
        people: Pair,
        touches: tuple[Touch, ...],
        posed: Callable[[PersonSpec], Posed],
        lift_m: float,
    ) -> None:
        self.people, self.touches = people, touches
        self.ends = [touching.anchors(people, touch, posed, lift_m) for touch in touches]
        self.names = tuple(_bending(who, touches) for who in (0, 1))
        self.initial = self._values(first)
        known = _ARM_RAD | _TRUNK_RAD
        scales = [known[joint_kind(name)] for own in self.names for name in own]
        self.scale = np.array([*scales, *_PLACE])
        self.split = len(self.names[0])
        self.pairs, self.apart_m = _near(tuple(touching.placed_frames(p) for p in people), touches)
        every, posed_first = capsules.own_pairs(), [touching.own_frames(p) for p in first]
        depths = [capsules.overlaps_m(own, own, every) for own in posed_first]
        near = [depth > -_REACH_M for depth in depths]
        self.own_pairs = [(every[0][mask], every[1][mask]) for mask in near]
        self.own_m = [
            np.maximum(depth[mask], 0.0) + _OWN_M for depth, mask in zip(depths, near, strict=True)
        ]

    def found(self) -> Pair:
        limits = [LIMITS_RAD[name] for own in self.names for name in own]
        low, high = np.array([*limits, *[(-np.inf, np.inf)] * 3]).T
        end = self._descended(np.clip(self._values(self.people), low, high), low, high)
        out = []
        for who, person in enumerate(self.people):
            angles = dict(person.pose.angles_rad)
            own = end[: self.split] if who == 0 else end[self.split : -3]
            for name, value in zip(self.names[who], own, strict=True):
                minimum, maximum = LIMITS_RAD[name]
                angles[name] = min(max(round(float(value), 4), minimum), maximum)
            angles = {k: v for k, v in sorted(angles.items()) if v != 0 or k.endswith("curl")}
            pose = dataclasses.replace(person.pose, angles_rad=angles)
            out.append(dataclasses.replace(person, pose=pose))
        x, y, yaw = (round(float(v), 5) for v in end[-3:])
        place = (x, y, self.people[1].position_m[2])
        return out[0], dataclasses.replace(out[1], position_m=place, yaw_rad=yaw)

    def _descended(self, x: F64, low: F64, high: F64) -> F64:
        """Where steps of Levenberg and Marquardt (1963) end, cut to the limits."""
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

    def _values(self, people: Pair) -> F64:
        angles = [
            person.pose.angles_rad.get(name, 0.0)
            for person, names in zip(people, self.names, strict=True)
            for name in names
        ]
        return np.array([*angles, *people[1].position_m[:2], people[1].yaw_rad])

    def _alone(self, *values: F64) -> list[tuple[Frames, F64]]:
        """The bones of each at angles (P, X), and how much deeper limbs overlap."""
        poses = []
        for person, names, own in zip(self.people, self.names, values, strict=True):
            poses += [
                {**person.pose.angles_rad, **dict(zip(names, row, strict=True))}
                for row in own.tolist()
            ]
        both = np.split(rotations_of(poses), [len(values[0])])
        out = []
        for who, rotations in enumerate(both):
            frames = capsules.frames(self.people[who].phenotype, rotations)
            over = capsules.overlaps_m(frames, frames, self.own_pairs[who]) - self.own_m[who]
            out.append((frames, np.maximum(over, 0.0) / _OVERLAP_M))
        return out

    def _errors(self, x: F64, a: tuple[Frames, F64], b: tuple[Frames, F64]) -> F64:
        """Residuals (..., R) at places (..., X); one of the two may be the same at all of them."""
        z = self.people[1].position_m[2]
        first, (x_m, y_m, yaw) = self.people[0], x.reshape(-1, x.shape[-1])[0, -3:]
        placed = (
            touching.moved(a[0], first.yaw_rad, np.array(first.position_m)),
            touching.moved(b[0], float(yaw), np.array([x_m, y_m, z])),
        )
        out = [a[1], b[1], (x - self.initial) / self.scale]
        for touch, (hand, on) in zip(self.touches, self.ends, strict=True):
            (p, p_out, p_way), (q, q_out, q_way) = (e.at(placed[e.who]) for e in (hand, on))
            out += [(p - q) / _NEAR_M, (p_out + q_out) / _FACING]
            if touch.fingers:
                out.append((p_way - (1 if touch.fingers == "along" else -1) * q_way) / _FINGERS)
        over = capsules.overlaps_m(*placed, self.pairs) + self.apart_m
        out.append(np.maximum(over, 0.0) / _OVERLAP_M)
        return np.concatenate([np.broadcast_to(e, x.shape[:-1] + e.shape[-1:]) for e in out], -1)

    def _residuals(self, x: F64) -> F64:
        return np.asarray(self._errors(x[None], *self._alone(*self._shared(x[None])))[0])

    def _shared(self, x: F64) -> tuple[F64, F64]:
        return x[..., : self.split], x[..., self.split : -3]

    def _slopes(self, x: F64, here: F64) -> F64:
        """(R, X) derivatives by forward differences; one's angles leave the other be."""
        both = self._alone(*self._shared(x[None]))
        out = np.empty((len(here), len(x)))
        tried = x + _STEP * np.eye(len(x))
        columns = slice(0, self.split), slice(self.split, len(x) - 3)
        bent = self._alone(*(self._shared(tried[own])[who] for who, own in enumerate(columns)))
        for own, now in zip(columns, ((bent[0], both[1]), (both[0], bent[1])), strict=True):
            out[:, own] = ((self._errors(tried[own], *now) - here) / _STEP).T
        for k in range(len(x) - 3, len(x)):
            out[:, k] = (self._errors(tried[k : k + 1], both[0], both[1])[0] - here) / _STEP
        return out


def _bending(who: int, touches: tuple[Touch, ...]) -> tuple[str, ...]:
    """The angles of one of the two that bend: of arms whose palm touches, and the trunk."""
    sides = {touch.palm.removesuffix("palm") for touch in touches if touch.of == who}
    sides |= {t.on.removesuffix("palm") for t in touches if t.of != who and t.on.endswith("palm")}
    return (*(side + stem for side in sorted(sides) for stem in _ARM_RAD), *_TRUNK_RAD)


def _near(placed: tuple[Frames, ...], touches: tuple[Touch, ...]) -> tuple[capsules.Pairs, F64]:
    """The pairs of capsules that may meet, and (K,) how far apart they stay."""
    parts = capsules.parts()
    apart = np.full((len(parts), len(parts)), _APART_M)
    for touch in touches:
        hand = touch.palm.removesuffix("_palm") + "_hand"
        on = _parts_of(touch.on)
        soft = np.outer([part == hand for part in parts], [part in on for part in parts])
        apart[soft if touch.of == 0 else soft.T] = _PRESSED_M
    first, second = (k.ravel() for k in np.indices(apart.shape))
    near = capsules.overlaps_m(placed[0], placed[1], (first, second)) > -_REACH_M
    return (first[near], second[near]), apart.ravel()[near]


def _parts_of(on: str) -> tuple[str, ...]:
    side = on.partition("_")[0]
    if on.endswith("_palm"):
        return (f"{side}_hand",)
    if on.endswith(("shoulder", "upper_arm")):
        return ("trunk", f"{side}_upper_arm")
    return ("trunk",)
