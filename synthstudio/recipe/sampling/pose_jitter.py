"""Poses that stray from the library's and keep a body's limbs apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from operator import itemgetter

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
DEEP_M = 0.02
"""By the skin no part of a body should lie deeper in another."""
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
    heavy body, or where no skin can be freed, the freest of all is taken. `keys` name the random
    streams of later candidates.
    """
    return freest(draw, body, _candidates(draw, angles, rng, keys), like=like)[1]


def freest(
    draw: Draw,
    body: Body,
    candidates: Iterable[dict[str, float]],
    *,
    like: tuple[Numbers, ...] = (),
) -> tuple[int, dict[str, float]]:
    """Return the number of the first candidate that is free, and its angles out of its own skin.

    Those that capsules find free are asked first, then the others by how deep their limbs lie;
    where the skin of none can be freed, it is the freest. `like`: as `core.solve.Solve.touches_m`.
    """

    def in_order() -> Iterator[tuple[int, dict[str, float]]]:
        deep = []
        for number, candidate in enumerate(candidates):
            depth = body.solve.touches_m(body.phenotype, candidate, like)
            if depth <= SOFT_M:
                yield number, candidate
            else:
                deep.append((depth, number, candidate))
        for _, number, candidate in sorted(deep, key=itemgetter(0, 1)):
            yield number, candidate

    least, found = math.inf, (0, dict[str, float]())
    for number, candidate in in_order():
        free, left_m = freed(draw, body, candidate)
        if left_m < least:
            least, found = left_m, (number, free)
        if left_m <= DEEP_M:
            break
    return found


def untangled(
    draw: Draw, body: Body, angles: dict[str, float], *, both_hands: bool = False
) -> dict[str, float]:
    """Return the angles with limbs out of the body's own skin, unless the recipe leaves that be."""
    return freed(draw, body, angles, both_hands=both_hands)[0]


def freed(
    draw: Draw, body: Body, angles: dict[str, float], *, both_hands: bool = False
) -> tuple[dict[str, float], float]:
    """Return the angles of `untangled`, and how deep a part still lies in another, in metres."""
    if not draw.recipe.people.poses.untangle:
        return angles, 0.0
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
