"""Jitter of library poses, and removal of self-penetration."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import itemgetter

from synthstudio.core.rng import Generator
from synthstudio.core.spec import FrozenDict, Phenotype
from synthstudio.recipe.sampling.context import SampleContext
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
    """The angles with limbs moved out of the body's own skin, and the depth left in metres.

    Unchanged, and 0, if the recipe disables it.
    """
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
    shares = rng.random(len(limits)).tolist()
    for (name, (low, high)), share in zip(limits.items(), shares, strict=True):
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


def is_of(angle: str, groups: tuple[str, ...]) -> bool:
    """Whether an angle's name, without its side, begins with one of the groups."""
    return angle.removeprefix("left_").removeprefix("right_").startswith(groups)
