"""Poses not in the library: limbs of different library poses, with large jitter."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from synthstudio.core.catalogue import KeyPose
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator
from synthstudio.core.spec import FrozenDict, Phenotype, Vec2
from synthstudio.recipe.sampling.context import SampleContext, pose_held
from synthstudio.recipe.sampling.pose_jitter import ARM, OTHER_SIDE, freest, is_of

FAMILY = "random"
_LEG = ("hip", "knee", "ankle", "toe")
_TRUNK: tuple[str, ...] = ("spine",)
_HEAD: tuple[str, ...] = ("neck", "gaze")
_ROOT: tuple[str, ...] = ("root",)
_ODD = ("turn", "side_bend", "roll")
_SPREAD_RAD = math.radians(14)
_SPREAD = (*ARM[:4], *_LEG[:2], *_TRUNK, *_HEAD[:1], *_ROOT)
_ALIKE = 0.5
_BENT_RAD = {
    "hip_flexion": (-0.3, 2.3),
    "hip_abduction": (-0.2, 0.9),
    "hip_rotation": (-0.6, 0.6),
    "knee_flexion": (0.2, 2.5),
}
"""A resampled leg: from a step back to a deep crouch, before the limits."""
_IN_THE_AIR = 0.5
_TUMBLE_ROLL_RAD = math.radians(20)
_TRIES = 24
_DIGITS = 4


def sampled_pose(
    ctx: SampleContext,
    phenotype: Phenotype,
    poses: Sequence[KeyPose],
    *,
    keys: tuple[int | str, ...],
) -> KeyPose:
    """A pose of limbs of `poses` without self-penetration, or the freest of many.

    `keys` name its stream of random numbers.
    """
    rng = ctx.rng(*keys)
    free = [p for p in poses if not (p.holds or p.leans or p.needs == "seat")]
    limbs = ctx.allowed(free, rng, held=pose_held(ctx.recipe))
    if not limbs:
        raise RecipeError(
            "no pose is left to take limbs from",
            where=f"{ctx.where}: people.poses.random",
            then="Allow more poses or families, or hold out fewer.",
        )
    tried: list[KeyPose] = []
    bent = ctx.recipe.people.poses.bent

    def angles() -> Iterator[dict[str, float]]:
        for _ in range(_TRIES):
            tried.append(random_pose(limbs, ctx.catalogue.limits_rad, rng, bent=bent))
            yield dict(tried[-1].angles_rad)

    number, free_rad = freest(ctx, phenotype, angles())
    return dataclasses.replace(tried[number], angles_rad=FrozenDict(free_rad))


def tumbled(rng: Generator) -> dict[str, float]:
    """Rotation of a body in the air: any angle about its left-right axis."""
    pitch, roll = rng.uniform(-math.pi, math.pi), rng.normal(0, _TUMBLE_ROLL_RAD)
    return {
        "root_pitch": round(float(pitch), _DIGITS),
        "root_roll": round(float(np.clip(roll, -math.pi, math.pi)), _DIGITS),
    }


def random_pose(
    poses: Sequence[KeyPose], limits_rad: dict[str, Vec2], rng: Generator, *, bent: float = 0.0
) -> KeyPose:
    """A pose of limbs of different poses, each angle jittered by about 14 degrees.

    Arms, legs, trunk with head, and the body's rotation come from one pose each, from either of
    its sides; half have both arms of one pose, and half both legs. The fraction `bent` of the
    legs is resampled. All angles are within the limits. Half are in the air, turned any way;
    others touch the floor with their lowest part, as in a movement.
    """

    def one() -> KeyPose:
        return poses[int(rng.random() * len(poses))]

    angles: dict[str, float] = {}
    for groups in (ARM, _LEG):
        source, same = one(), rng.random() < _ALIKE
        swapped = rng.random() < 0.5
        for side in OTHER_SIDE:
            angles |= _limb(source, OTHER_SIDE[side] if swapped else side, side, groups)
            if not same:
                source, swapped = one(), rng.random() < 0.5
    for names in (_TRUNK + _HEAD, _ROOT):
        source, sign = one(), 1 if rng.random() < 0.5 else -1
        for name, value in source.angles_rad.items():
            if name.startswith(names):
                angles[name] = sign * value if name.endswith(_ODD) else value
    if bent:
        angles |= _bent_legs(bent, rng)
    angles = _strayed(angles, limits_rad, rng)
    in_the_air = rng.random() < _IN_THE_AIR
    if in_the_air:
        angles |= tumbled(rng)
    return KeyPose(
        name=FAMILY,
        family=FAMILY,
        angles_rad=dict(sorted(angles.items())),
        stands=False,
        dynamic=True,
        athletic=True,
        airborne="tumbling" if in_the_air else "",
    )


def _bent_legs(share: float, rng: Generator) -> dict[str, float]:
    out = {}
    for side in OTHER_SIDE:
        chance, *drawn = rng.random(1 + len(_BENT_RAD))
        for u, (name, (low, high)) in zip(drawn, _BENT_RAD.items(), strict=True):
            if chance < share:
                out[f"{side}_{name}"] = low + u * (high - low)
    return out


def _limb(source: KeyPose, origin: str, side: str, groups: tuple[str, ...]) -> dict[str, float]:
    own = f"{origin}_"
    return {
        f"{side}_{name.removeprefix(own)}": value
        for name, value in source.angles_rad.items()
        if name.startswith(own) and name.removeprefix(own).startswith(groups)
    }


def _strayed(
    angles: dict[str, float], limits_rad: dict[str, Vec2], rng: Generator
) -> dict[str, float]:
    """The angles with all but fingers and feet jittered, clipped to their limits."""
    out = {}
    for name, (low, high) in sorted(limits_rad.items()):
        stray = float(rng.normal(0.0, _SPREAD_RAD)) if is_of(name, _SPREAD) else 0.0
        value = angles.get(name, 0.0) + stray
        if stray or name in angles:
            out[name] = min(max(round(value, _DIGITS), low), high)
    return out
