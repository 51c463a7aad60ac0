"""Motion of people at a frame's moment, for motion blur and rolling shutter.

A person following a recording moves along it. A person drawn in a movement's pose gets a plausible
one: limbs are on their way from hanging down into the pose or back, or towards the mirror image of
a step; a standing foot stays fixed; people in the air fly. All else is still.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.spec import LensSpec, MovingSpec, PersonSpec, Vec2
from synthstudio.recipe.sampling import clips
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.palette import between
from synthstudio.recipe.sampling.people import facing, mirrored

_BACK = 0.3
"""Fraction on the way out of a pose."""
_STILL = ("gaze", "finger", "index", "thumb", "toe")
"""Angles with these name parts do not move."""
_GROUND = ("left_ankle", "right_ankle", "left_wrist", "right_wrist")


@dataclass(frozen=True, kw_only=True)
class Move:
    takes_s: Vec2  # from hanging limbs into the pose, or from a step to the other foot's
    steps: bool = False
    speed_m_s: Vec2 | None = None  # the way they face; None: a foot or hand stays on the floor
    up_m_s: Vec2 = (0.0, 0.0)
    spins: bool = False  # about the vertical


MOVES: dict[str, Move] = {
    "walk": Move(takes_s=(0.45, 0.65), steps=True),
    "run": Move(takes_s=(0.26, 0.36), steps=True),
    "throw": Move(takes_s=(0.2, 0.45)),
    "throwing": Move(takes_s=(0.2, 0.45)),
    "kick": Move(takes_s=(0.2, 0.4)),
    "box": Move(takes_s=(0.2, 0.4)),
    "swing": Move(takes_s=(0.25, 0.5)),
    "dance": Move(takes_s=(0.35, 0.9)),
    "wave": Move(takes_s=(0.4, 0.8)),
    "jump": Move(takes_s=(0.25, 0.5)),
    "leap": Move(takes_s=(0.35, 0.7), speed_m_s=(1.0, 4.0), up_m_s=(-2.0, 2.0)),
    "fall": Move(takes_s=(0.5, 0.9), speed_m_s=(-0.5, 1.0), up_m_s=(-3.5, -0.5)),
}
"""By family. Times and speeds are those of people at play, not of records."""
_SPIN: Vec2 = (3.0, 9.0)
_TUMBLE: Vec2 = (4.0, 8.0)
_SPRINT = Move(takes_s=(0.22, 0.3), steps=True, speed_m_s=(5.0, 8.0), up_m_s=(-0.6, 0.6))
_OVER = Move(takes_s=(0.4, 0.7))
NAMED: dict[str, Move] = {
    "sprint": _SPRINT,
    "sprint_drive": _SPRINT,
    "sprint_recover": _SPRINT,
    "run_sprint": _SPRINT,
    "side_kick": MOVES["kick"],
    "dance_twirl": dataclasses.replace(MOVES["dance"], spins=True),
    "discus": dataclasses.replace(MOVES["throwing"], spins=True),
    "hammer": dataclasses.replace(MOVES["throwing"], spins=True),
    "cartwheel_in": _OVER,
    "cartwheel_over": _OVER,
    "handspring": _OVER,
    "back_handspring": _OVER,
    "slide": Move(takes_s=(0.6, 1.0), speed_m_s=(2.0, 5.0)),
}
"""By name of the key pose, overriding its family."""


def draw_moving(
    ctx: SampleContext, people: Sequence[PersonSpec], lens: LensSpec
) -> tuple[MovingSpec, ...]:
    """The moving people a moment later; () for an instantaneous exposure."""
    if lens.exposure_s <= 0 and lens.readout_s <= 0:
        return ()
    going = clips.positions_after(ctx, people, time_s=0.0)
    if ctx.recipe.clip is not None:
        return going  # people without a motion stand through the clip
    taken = {m.person for m in going}
    keys = {pose.name: pose for pose in ctx.catalogue.poses}
    drawn = []
    for place, person in enumerate(people):
        key = keys.get(person.pose.name.split("+")[0])
        # For interacting people, that is the family.
        if place in taken or key is None or key.family != person.pose.family:
            continue
        way = NAMED.get(key.name, MOVES.get(key.family))
        if way is None:
            continue
        tumbles = key.airborne == "tumbling"
        later = _later(ctx, person, way, place, tumbles=tumbles)
        drawn.append(clips.moving(place, later, clips.MOMENT_S))
    return tuple(sorted((*going, *drawn), key=lambda m: m.person))


def _later(
    ctx: SampleContext, person: PersonSpec, way: Move, place: int, *, tumbles: bool
) -> PersonSpec:
    rng = ctx.rng("moving", place)
    takes, up, spin, tumble = (
        between(*span, rng) for span in (way.takes_s, way.up_m_s, _SPIN, _TUMBLE)
    )
    speed = between(*(way.speed_m_s or (0.0, 0.0)), rng)
    back, side = rng.random() < _BACK, 1.0 if rng.random() < 0.5 else -1.0
    rates = _rates_rad_s(person.pose.angles_rad, takes, steps=way.steps)
    if back and not way.steps:
        rates = {name: -rate for name, rate in rates.items()}
    if tumbles:
        rates["root_pitch"] = side * tumble
    turn = side * spin if way.spins else 0.0
    ahead = facing(person)
    if way.speed_m_s is not None:
        return _moved(person, rates, turn, ahead * speed + np.array([0.0, 0.0, up]))
    standing = _planted(ctx, person, rates, turn)
    if way.steps and float(standing @ ahead) < 0:
        # The leg that stands goes back under a body that goes forward.
        rates = {name: -rate for name, rate in rates.items()}
        standing = _planted(ctx, person, rates, turn)
    return _moved(person, rates, turn, standing)


def _rates_rad_s(
    angles_rad: Mapping[str, float], takes_s: float, *, steps: bool
) -> dict[str, float]:
    """The rate of each angle on the way into a pose, or to the next step."""
    moving = {k: v for k, v in angles_rad.items() if not any(part in k for part in _STILL)}
    if not steps:
        return {name: angle / takes_s for name, angle in moving.items()}
    other = mirrored(moving)
    return {
        name: (other.get(name, 0.0) - moving.get(name, 0.0)) / takes_s
        for name in sorted({*moving, *other})
    }


def _moved(
    person: PersonSpec, rates: Mapping[str, float], turn_rad_s: float, velocity_m_s: F64
) -> PersonSpec:
    step, angles = clips.MOMENT_S, dict(person.pose.angles_rad)
    for name, rate in rates.items():
        angles[name] = angles.get(name, 0.0) + rate * step
    x, y, z = (float(v) for v in np.array(person.position_m) + velocity_m_s * step)
    return dataclasses.replace(
        person,
        pose=dataclasses.replace(person.pose, angles_rad=angles),
        position_m=(x, y, z),
        yaw_rad=person.yaw_rad + turn_rad_s * step,
    )


def _planted(
    ctx: SampleContext, person: PersonSpec, rates: Mapping[str, float], turn_rad_s: float
) -> F64:
    """The root's velocity (3,), m/s, that keeps the lowest foot or hand fixed."""
    rows = [ctx.joint_names.index(name) for name in _GROUND]
    now = ctx.geometry.joints_m(person)[rows]
    then = ctx.geometry.joints_m(_moved(person, rates, turn_rad_s, np.zeros(3)))[rows]
    lowest = int(np.argmin(now[:, 2]))
    return np.asarray((now[lowest] - then[lowest]) / clips.MOMENT_S)
