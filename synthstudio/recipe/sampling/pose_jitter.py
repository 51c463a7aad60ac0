"""Poses that stray from the library's and keep a body's limbs apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from synthstudio.core.rng import Generator
from synthstudio.core.solve import Solve
from synthstudio.core.spec import Numbers, Phenotype
from synthstudio.recipe.sampling.choose import Draw
from synthstudio.recipe.schema.distributions import sample

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
"""Where it is not named, the index follows the other fingers."""
SOFT_M = 0.015
_TRIES = 6
_ARMS_OUT_RAD = tuple(math.radians(a) for a in (0, 4, 8, 12))
_LEG_JITTER = 0.5


@dataclass(frozen=True)
class Body:
    """Whose limbs a pose must keep apart."""

    solve: Solve
    phenotype: Phenotype


def apart(
    draw: Draw,
    body: Body,
    angles: dict[str, float],
    rng: Generator,
    *,
    like: tuple[Numbers, ...],
    keys: tuple[int | str, ...],
) -> dict[str, float]:
    """Return the angles strayed so that no limb runs into another, by numbered candidates.

    `like`: the poses that the angles were made of; hands that touch there may touch. After
    strays come the angles as they are and with the arms held out; where none is free, as on a
    heavy body, the freest of all is taken. `keys` name the random streams of later candidates.
    """
    deepest, best = math.inf, angles
    for candidate in _candidates(draw, angles, rng, keys):
        depth = body.solve.touches_m(body.phenotype, candidate, like)
        if depth < deepest:
            deepest, best = depth, candidate
        if depth <= SOFT_M:
            break
    return untangled(draw, body, best)


def untangled(
    draw: Draw, body: Body, angles: dict[str, float], *, both_hands: bool = False
) -> dict[str, float]:
    """Return the angles with limbs out of the body's own skin, unless the recipe leaves that be."""
    if not draw.recipe.people.poses.untangle:
        return angles
    return body.solve.untangled(body.phenotype, angles, both_hands=both_hands)


def _candidates(
    draw: Draw, angles: dict[str, float], rng: Generator, keys: tuple[int | str, ...]
) -> Iterator[dict[str, float]]:
    for number in range(_TRIES):
        yield _jittered(draw, angles, rng if number == 0 else draw.rng(*keys, "stray", number))
    limits = draw.catalogue.limits_rad
    for out in _ARMS_OUT_RAD:
        held = dict(angles)
        for name in ("left_shoulder_abduction", "right_shoulder_abduction"):
            held[name] = min(round(held.get(name, 0.0) + out, 4), limits[name][1])
        yield {k: v for k, v in sorted(held.items()) if v != 0.0 or k.endswith(_INDEX)}


def _jittered(draw: Draw, angles: dict[str, float], rng: Generator) -> dict[str, float]:
    """Return every angle, strayed and cut to its limits; 1e-4 rad steps keep specs short."""
    jitter = draw.recipe.people.poses.jitter_deg
    out = {}
    for name, (low, high) in draw.catalogue.limits_rad.items():
        value = angles.get(name, 0.0)
        named = not name.endswith(_INDEX) or name in angles
        change = math.radians(sample(jitter, rng)) * (
            _LEG_JITTER if name.split("_", 1)[-1].startswith(_LEGS) else 1.0
        )
        if not _stiff(name):
            value = round(value + change, 4)
        if named:
            out[name] = min(max(value, low), high)
    return {k: value for k, value in out.items() if value != 0.0 or k.endswith(_INDEX)}


def _stiff(name: str) -> bool:
    return name.removeprefix("left_").removeprefix("right_").startswith(_STIFF)
