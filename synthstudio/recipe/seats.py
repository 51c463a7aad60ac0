"""What somebody who sits sits on."""

from __future__ import annotations

import math

from synthstudio.core.catalogue import Catalogue, ThingKind
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64
from synthstudio.core.skeleton import skeleton
from synthstudio.core.spec import Material, PersonSpec, ThingSpec
from synthstudio.recipe import palette
from synthstudio.recipe.choose import Draw

BELOW_HIP_M = 0.1
"""From the centre of the hip joint down to the seat: buttocks and trousers pressed flat."""


def seats_in(draw: Draw) -> tuple[ThingKind, ...]:
    """Return the kinds that one can sit on in this frame; without any, nobody sits."""
    held = set(draw.recipe.holdout.occluders) if draw.split == "train" else set()
    return tuple(kind for kind in _kinds(draw.catalogue) if kind.kind not in held)


def _kinds(catalogue: Catalogue) -> tuple[ThingKind, ...]:
    return tuple(kind for kind in catalogue.things if "seat" in kind.roles)


def draw_seat(draw: Draw, person: PersonSpec, joints_m: F64, rng: Generator) -> ThingSpec:
    """Return a seat under the hips of a person who is already on the floor.

    `joints_m` (J, 3) world. A seat's height is its size along z.
    """
    names = skeleton(draw.recipe.skeleton).joints
    hips = (joints_m[names.index("left_hip")] + joints_m[names.index("right_hip")]) / 2
    held = set(draw.recipe.holdout.occluders)
    kinds = draw.allowed(_kinds(draw.catalogue), rng, held=lambda kind: kind.kind in held)
    kind = kinds[int(rng.random() * len(kinds))]
    width, depth = (palette.between(kind.size_low_m[i], kind.size_high_m[i], rng) for i in range(2))
    return ThingSpec(
        kind=kind.kind,
        role="seat",
        size_m=(width, depth, max(float(hips[2]) - BELOW_HIP_M, 0.05)),
        materials=materials(kind, rng),
        position_m=(float(hips[0]), float(hips[1]), 0.0),
        yaw_rad=math.remainder(person.yaw_rad, 2 * math.pi),
    )


def materials(kind: ThingKind, rng: Generator) -> tuple[Material, ...]:
    """Return as many materials as the kind's builder takes."""
    patterns = kind.patterns or ("plain",)
    return tuple(
        palette.surface(patterns[int(rng.random() * len(patterns))], rng)
        for _ in range(kind.materials)
    )
