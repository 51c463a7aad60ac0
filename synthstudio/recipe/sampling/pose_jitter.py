"""Jitter of library poses, random poses, and removal of self-penetration."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter

import numpy as np

from synthstudio.core.catalogue import KeyPose
from synthstudio.core.errors import RecipeError
from synthstudio.core.rng import Generator
from synthstudio.core.spec import FrozenDict, Phenotype, Vec2
from synthstudio.recipe.sampling.context import SampleContext, pose_held
from synthstudio.recipe.schema.distributions import quantile, sample

ARM = ("shoulder", "clavicle", "elbow", "forearm", "wrist", "finger", "index", "thumb")
OTHER_SIDE = {"left": "right", "right": "left"}
_LEGS = ("hip", "knee", "ankle")
_STIFF = (
    "root",
    "toe",
    "finger_spread",
    "thumb_spread",
    "thumb_opposition",
    "shoulder_horizontal",
    "hip_horizontal",
)
_INDEX = "index_curl"
"""If not named, the index finger follows the others."""
SOFT_M = 0.015
DEEP_M = 0.02
"""Maximum depth of a body part's skin in another."""
_TRIES = 6
_AT_ONCE = 5
_ARMS_OUT_RAD = tuple(math.radians(a) for a in (0, 4, 8, 12))
_LEG_JITTER = 0.5


def apart(
    ctx: SampleContext,
    phenotype: Phenotype,
    angles: dict[str, float],
    rng: Generator,
    *,
    like: tuple[FrozenDict, ...],
    keys: tuple[int | str, ...],
) -> dict[str, float]:
    """Jittered angles without self-penetration, by numbered candidates.

    `like`: the poses that the angles come from; hands that touch there may touch. After jittered
    candidates come the original angles and those with the arms held out; if none is free, as on a
    heavy body, or no skin can be freed, the freest is taken. `keys` name the random streams of
    later candidates.
    """
    return freest(ctx, phenotype, _candidates(ctx, angles, rng, keys), like=like)[1]


def freest(
    ctx: SampleContext,
    phenotype: Phenotype,
    candidates: Iterable[dict[str, float]],
    *,
    like: tuple[FrozenDict, ...] = (),
) -> tuple[int, dict[str, float]]:
    """The number of the first free candidate, and its angles moved out of its own skin.

    Candidates whose capsules are free are tried first, then the others by penetration depth; if
    none can be freed, it is the freest. `like`: as `self_penetrations_m`.
    """

    def in_order() -> Iterator[tuple[int, dict[str, float]]]:
        deep, numbered = [], enumerate(candidates)
        while block := list(itertools.islice(numbered, _AT_ONCE)):
            poses = [candidate for _, candidate in block]
            depths = ctx.geometry.self_penetrations_m(phenotype, poses, like=like)
            for depth, (number, candidate) in zip(depths, block, strict=True):
                if depth <= SOFT_M:
                    yield number, candidate
                else:
                    deep.append((depth, number, candidate))
        for _, number, candidate in sorted(deep, key=itemgetter(0, 1)):
            yield number, candidate

    minimum, found = math.inf, (0, dict[str, float]())
    for number, candidate in in_order():
        free, left_m = freed(ctx, phenotype, candidate)
        if left_m < minimum:
            minimum, found = left_m, (number, free)
        if left_m <= DEEP_M:
            break
    return found


def freed(
    ctx: SampleContext, phenotype: Phenotype, angles: dict[str, float], *, both_hands: bool = False
) -> tuple[dict[str, float], float]:
    """The angles with limbs out of their own skin, and the depth left, m; or unchanged and 0."""
    if not ctx.recipe.people.poses.resolve_self_intersection:
        return angles, 0.0
    return ctx.geometry.resolve_self_intersection(phenotype, angles, both_hands=both_hands)


def _candidates(
    ctx: SampleContext, angles: dict[str, float], rng: Generator, keys: tuple[int | str, ...]
) -> Iterator[dict[str, float]]:
    for number in range(_TRIES):
        yield _jittered(ctx, angles, rng if number == 0 else ctx.rng(*keys, "stray", number))
    limits = ctx.catalogue.limits_rad
    for out in _ARMS_OUT_RAD:
        held = dict(angles)
        for name in ("left_shoulder_abduction", "right_shoulder_abduction"):
            held[name] = min(round(held.get(name, 0.0) + out, 4), limits[name][1])
        yield {k: v for k, v in sorted(held.items()) if v != 0.0 or k.endswith(_INDEX)}


def _jittered(ctx: SampleContext, angles: dict[str, float], rng: Generator) -> dict[str, float]:
    """Every angle, jittered and clipped to its limits; 1e-4 rad steps keep specs short."""
    jitter = ctx.recipe.people.poses.jitter_deg
    limits, out = ctx.catalogue.limits_rad, {}
    fractions = rng.random(len(limits)).tolist()
    for (name, (low, high)), share in zip(limits.items(), fractions, strict=True):
        if name.endswith(_INDEX) and name not in angles:
            continue
        value, much = angles.get(name, 0.0), _jitter_of(name)
        if much:
            value = round(value + math.radians(quantile(jitter, share)) * much, 4)
        out[name] = min(max(value, low), high)
    return {k: value for k, value in out.items() if value != 0.0 or k.endswith(_INDEX)}


@functools.cache
def _jitter_of(angle: str) -> float:
    if is_of(angle, _STIFF):
        return 0.0
    return _LEG_JITTER if angle.split("_", 1)[-1].startswith(_LEGS) else 1.0


def strayed(
    ctx: SampleContext,
    angles: Mapping[str, float],
    rng: Generator,
    *,
    by: float,
    moves: Callable[[str], bool],
) -> dict[str, float]:
    """The angles with a fraction of the recipe's jitter on moving ones, within their limits."""
    out = {}
    for name, value in sorted(angles.items()):
        change = by * math.radians(sample(ctx.recipe.people.poses.jitter_deg, rng))
        low, high = ctx.catalogue.limits_rad[name]
        out[name] = min(max(round(value + change, 4), low), high) if moves(name) else value
    return out


def on_other_side(name: str) -> str:
    """The name (left_elbow_flexion, right_palm) of the mirror image; unchanged without a side."""
    side, _, rest = name.partition("_")
    return f"{OTHER_SIDE[side]}_{rest}" if side in OTHER_SIDE else name


def is_of(angle: str, groups: tuple[str, ...]) -> bool:
    """Whether an angle's name, without its side, begins with one of the groups."""
    return angle.removeprefix("left_").removeprefix("right_").startswith(groups)


# Poses not in the library: limbs of different library poses, with large jitter ----------------

RANDOM = "random"
_LEG_PARTS = ("hip", "knee", "ankle", "toe")
_TRUNK: tuple[str, ...] = ("spine",)
_HEAD: tuple[str, ...] = ("neck", "gaze")
_ROOT: tuple[str, ...] = ("root",)
_ODD = ("turn", "side_bend", "roll")
_SPREAD_RAD = math.radians(14)
_SPREAD = (*ARM[:4], *_LEG_PARTS[:2], *_TRUNK, *_HEAD[:1], *_ROOT)
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
_RANDOM_TRIES = 24
_DIGITS = 4


def sampled_pose(
    ctx: SampleContext,
    phenotype: Phenotype,
    poses: Sequence[KeyPose],
    *,
    keys: tuple[int | str, ...],
) -> KeyPose:
    """A pose of limbs of `poses` without self-penetration, or the freest of many."""
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
        for _ in range(_RANDOM_TRIES):
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
    poses: Sequence[KeyPose], limits_rad: dict[str, Vec2], rng: Generator, *, bent: float
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
    for groups in (ARM, _LEG_PARTS):
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
    angles = _spread(angles, limits_rad, rng)
    in_the_air = rng.random() < _IN_THE_AIR
    if in_the_air:
        angles |= tumbled(rng)
    return KeyPose(
        name=RANDOM,
        family=RANDOM,
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


def _spread(
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
