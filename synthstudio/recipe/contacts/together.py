"""Interactions of people: the kind of meeting, the poses, and how they stand.

The first people of a frame take part; each keeps body and clothes and takes the pose of a role.
Touching hands are solved by `GeometryQueries.meet`. After a few failed draws the interaction is
left out and everybody stands alone. It has separate random streams, so frames without
interactions are unchanged.
"""

import dataclasses
import itertools
import math

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.catalogue import Interaction, Role, Touch
from synthstudio.core.rng import Generator
from synthstudio.core.spec import FrozenDict, PersonSpec, PoseSpec
from synthstudio.recipe.sampling import pose_jitter
from synthstudio.recipe.sampling.context import SampleContext, Unit, pick_one, pose_held
from synthstudio.recipe.sampling.people import mirrored

_TRIES = 4
_SPREADS = 4
_STEADY = 0.5
"""Touching arms get less jitter than others."""
_BENT = ("shoulder", "elbow", "forearm", "spine")
_NEARER, _ASIDE_M, _TURN_RAD = 0.05, 0.03, math.radians(5)
_CIRCLE_RAD, _LINE_RAD, _LINE_M = math.radians(18), math.radians(9), 0.06


def draw_together(ctx: SampleContext, people: tuple[Unit, ...]) -> tuple[PersonSpec, ...]:
    """The interacting people about the first, who is at the origin and faces -y; () without any."""
    options = ctx.recipe.people.interactions
    if options.share == 0 or len(people) < 2:
        return ()
    if ctx.rng("together").random() >= options.share:
        return ()
    for number in range(_TRIES):
        found = _tried(ctx, people, ctx.rng("together", number))
        if found:
            return found
    return ()


def _tried(ctx: SampleContext, people: tuple[Unit, ...], rng: Generator) -> tuple[PersonSpec, ...]:
    weights = ctx.recipe.people.interactions.kinds
    known = [m for m in ctx.catalogue.meetings if (weights or {m.name: 1.0}).get(m.name)]
    held = set(ctx.recipe.holdout.poses)
    left = ctx.allowed(known, rng, held=lambda m: m.name in held)
    if not left:
        return ()
    meeting = pick_one(left, rng, weights=weights, name=lambda m: m.name)
    many = 2 + int(rng.random() * (min(meeting.maximum, len(people)) - 1))
    who = tuple(person for person, _ in people[:many])
    if any(person.pose.turns for person in who):  # a motion fixes the whole body
        return ()
    if meeting.stand == "pair":
        return _pair(ctx, who, meeting, rng)
    return _spread(ctx, who, meeting, rng)


# Two who touch -------------------------------------------------------------------------------


def _pair(
    ctx: SampleContext, who: tuple[PersonSpec, ...], meeting: Interaction, rng: Generator
) -> tuple[PersonSpec, ...]:
    swap, flip = rng.random() < 0.5, rng.random() < ctx.recipe.people.poses.mirror
    flip = flip and meeting.mirrored_ok
    cast = (who[1], who[0]) if swap else (who[0], who[1])
    side = -1.0 if flip else 1.0
    nearer, aside, turn = rng.normal(0.0, 1.0, 3).clip(-2, 2)
    at = (
        side * (meeting.left_m + _ASIDE_M * aside),
        -meeting.ahead_m * (1 + _NEARER * nearer),
        0.0,
    )
    yaw = side * (meeting.turn_rad + _TURN_RAD * turn)
    places = ((0.0, 0.0, 0.0), at)
    initial = []
    for k, (person, role) in enumerate(zip(cast, meeting.roles, strict=True)):
        pose = _role(ctx, meeting, role, _touching(k, meeting.touches), rng, flip=flip)
        if pose is None:
            return ()
        free, _ = pose_jitter.freed(ctx, person.phenotype, dict(pose.angles_rad))
        pose, yaw_rad = dataclasses.replace(pose, angles_rad=free), yaw if k else 0.0
        stood = dataclasses.replace(person, pose=pose, position_m=places[k], yaw_rad=yaw_rad)
        initial.append(_on_floor(ctx, stood))
    pair = _looking(ctx, (initial[0], initial[1])) if meeting.looks else tuple(initial)
    touches = tuple(_mirrored(touch) for touch in meeting.touches) if flip else meeting.touches
    met = ctx.geometry.meet((pair[0], pair[1]), touches)
    if met is None:
        return ()
    return _about_first((met[1], met[0]) if swap else met)


def _touching(who: int, touches: tuple[Touch, ...]) -> tuple[str, ...]:
    """The sides (left_, right_) whose palms touch or are touched."""
    own = [t.palm for t in touches if t.of == who]
    own += [t.on for t in touches if t.of != who and t.on.endswith("palm")]
    return tuple(sorted({palm.removesuffix("palm") for palm in own}))


def _role(
    ctx: SampleContext,
    meeting: Interaction,
    role: Role,
    sides: tuple[str, ...],
    rng: Generator,
    *,
    flip: bool,
) -> PoseSpec | None:
    """A role's initial pose: a key pose with the role's own angles."""
    keys = [key for key in ctx.catalogue.poses if key.name in role.poses]
    left = ctx.allowed(keys, rng, held=pose_held(ctx.recipe))
    if not left:
        return None
    key = left[int(rng.random() * len(left))]
    arms = tuple(side + stem for side in sides for stem in pose_jitter.ARM)
    angles = {k: v for k, v in key.angles_rad.items() if not k.startswith(arms)} | role.angles_rad
    angles = pose_jitter.strayed(
        ctx, angles, rng, by=_STEADY, moves=lambda name: pose_jitter.is_of(name, _BENT)
    )
    angles = mirrored(angles) if flip else angles
    return PoseSpec(
        name=f"{key.name}+{meeting.name}",
        family=meeting.name,
        angles_rad=dict(sorted(angles.items())),
    )


def _mirrored(touch: Touch) -> Touch:
    palm, on = (pose_jitter.on_other_side(name) for name in (touch.palm, touch.on))
    return dataclasses.replace(touch, palm=palm, on=on)


# Standing together ----------------------------------------------------------------------------


def _spread(
    ctx: SampleContext, who: tuple[PersonSpec, ...], meeting: Interaction, rng: Generator
) -> tuple[PersonSpec, ...]:
    """People in a circle or line, moved apart until no two touch."""
    (role,) = meeting.roles
    posed = []
    for k, person in enumerate(who):
        pose = _role(ctx, meeting, role, (), rng, flip=False)
        if pose is None:
            return ()
        angles = pose_jitter.apart(
            ctx,
            person.phenotype,
            dict(pose.angles_rad),
            rng,
            like=(FrozenDict(pose.angles_rad),),
            keys=("together", meeting.name, k),
        )
        pose = dataclasses.replace(pose, angles_rad=angles)
        posed.append(dataclasses.replace(person, pose=pose))
    low, high = meeting.apart_m
    minimum = low + (high - low) * float(rng.random())
    strays = rng.normal(0.0, 1.0, (len(posed), 2)).clip(-2, 2)
    for gap in np.linspace(minimum, high, _SPREADS):
        stood = tuple(
            _on_floor(ctx, _place(person, k, len(posed), float(gap), strays[k], meeting))
            for k, person in enumerate(posed)
        )
        stood = _looking(ctx, stood) if meeting.looks else stood
        pairs = itertools.combinations(stood, 2)
        if all(ctx.geometry.gap_m(a, b) >= ctx.recipe.people.min_gap_m for a, b in pairs):
            return _about_first(stood)
    return ()


def _place(
    person: PersonSpec, k: int, many: int, gap_m: float, stray: np.ndarray, meeting: Interaction
) -> PersonSpec:
    if meeting.stand == "line":
        at, yaw = (_LINE_M * float(stray[0]), gap_m * k, 0.0), _LINE_RAD * float(stray[1])
    else:
        angle, radius = 2 * math.pi * k / many, gap_m / (2 * math.sin(math.pi / many))
        # From there, yaw 0 (facing -y) faces the middle.
        at = (-radius * math.sin(angle), radius * math.cos(angle), 0.0)
        yaw = angle + _CIRCLE_RAD * float(stray[1])
    return dataclasses.replace(person, position_m=at, yaw_rad=yaw)


# Both ----------------------------------------------------------------------------------------


def _on_floor(ctx: SampleContext, person: PersonSpec) -> PersonSpec:
    x, y, _ = person.position_m
    return dataclasses.replace(person, position_m=(x, y, float(ctx.geometry.drop_m(person))))


def _looking(ctx: SampleContext, people: tuple[PersonSpec, ...]) -> tuple[PersonSpec, ...]:
    """The people with heads turned to the next one, within the limits."""
    noses = [ctx.joints_m(person)["nose"] for person in people]
    out = []
    for k, person in enumerate(people):
        pose = looking(person, noses[(k + 1) % len(noses)] - noses[k])
        out.append(person if pose is None else dataclasses.replace(person, pose=pose))
    return tuple(out)


def _about_first(people: tuple[PersonSpec, ...]) -> tuple[PersonSpec, ...]:
    """The people moved and turned: the first at the origin, facing -y."""
    x0, y0, _ = people[0].position_m
    yaw = people[0].yaw_rad
    c, s = math.cos(-yaw), math.sin(-yaw)
    out = []
    for person in people:
        x, y, z = person.position_m
        x, y = x - x0, y - y0
        at, turn = (round(c * x - s * y, 5), round(s * x + c * y, 5), z), person.yaw_rad - yaw
        out.append(dataclasses.replace(person, position_m=at, yaw_rad=round(turn, 6)))
    return tuple(out)


# Turning heads: neck and eyes only, within their limits ---------------------------------------

_EYES_SHARE, _EYES_RAD = 0.25, math.radians(14)
_NECK_RAD, _DOWN_RAD, _UP_RAD = math.radians(64), math.radians(38), math.radians(42)
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
    if abs(neck_turn) > _NECK_RAD or not -_DOWN_RAD <= neck_lift <= _UP_RAD:
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
