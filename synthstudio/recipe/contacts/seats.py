"""What somebody who sits sits on."""

from __future__ import annotations

import math

import numpy as np

from synthstudio.core.catalogue import Catalogue, ThingKind
from synthstudio.core.rng import Generator
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.solve import Solve
from synthstudio.core.spec import Material, PersonSpec, ThingSpec
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.choose import Draw

PRESSED_M = 0.012
"""So far buttocks and trousers give way to a seat."""
_SAT_ON = ("pelvis", "left_thigh", "right_thigh")
_SAT_ON_M = (0.12, 0.16)
"""A seat carries what is so far behind and before the hip joints."""
NARROW_M = 0.6
"""A seat at a table fits between its legs."""
_LEAST_M = 0.08
_USUAL = 0.4
"""How often a thing has the colours that its builder gives it."""
_HEIGHT = "seat_height_m"
_LEAST_BACK_M = 0.35
_STOOL_FORWARD_M = 0.05
_CHAIR_BACK_M = 0.19
_SOFA_BACK_M = 0.5
"""From a seat's rear edge to the hip joints: the back's thickness and half a trunk."""
_SOFA_DEPTH_M = 0.65
_SHIN_M = 0.11
_LEAST_EDGE_M = 0.12
"""From the hip joints forward to a seat's front edge, when the feet are drawn in below it."""


def seats_in(draw: Draw) -> tuple[ThingKind, ...]:
    """Return the kinds that one can sit on in this frame; without any, nobody sits."""
    held = set(draw.recipe.holdout.occluders) if draw.split == "train" else set()
    return tuple(kind for kind in _kinds(draw.catalogue) if kind.kind not in held)


def _kinds(catalogue: Catalogue) -> tuple[ThingKind, ...]:
    return tuple(kind for kind in catalogue.things if "seat" in kind.roles)


def draw_seat(
    draw: Draw, solve: Solve, person: PersonSpec, rng: Generator, *, narrow: bool = False
) -> ThingSpec:
    """Return a seat under the hips of a person who is already on the floor.

    `narrow`: only what fits between the legs of a table. A kind that takes `seat_height_m` has
    a back: the hips are put in front of it, and it is taller than that; any other is as high as
    one sits. Its front edge stays behind the shins.
    """
    names = get_skeleton(draw.recipe.skeleton).joints
    at = dict(zip(names, solve.joints_m(person), strict=True))
    hips = (at["left_hip"] + at["right_hip"]) / 2
    # At yaw 0 people face world -y, and so do seats.
    facing = np.array([math.sin(person.yaw_rad), -math.cos(person.yaw_rad), 0.0])
    shins = [at[f"{side}_{j}"] for side in ("left", "right") for j in ("knee", "ankle")]
    edge = max(min(float((shin - hips) @ facing) for shin in shins) - _SHIN_M, _LEAST_EDGE_M)
    held = set(draw.recipe.holdout.occluders)
    kinds = draw.allowed(_kinds(draw.catalogue), rng, held=lambda kind: kind.kind in held)
    if narrow:
        kinds = tuple(kind for kind in kinds if kind.size_high_m[0] <= NARROW_M) or kinds
    kind = kinds[int(rng.random() * len(kinds))]
    width, depth, height = (
        palette.between(low, high, rng)
        for low, high in zip(kind.size_low_m, kind.size_high_m, strict=True)
    )
    skin = solve.skin_m(person, _SAT_ON)
    ahead = (skin - hips) @ facing
    sat_on = skin[(ahead > -_SAT_ON_M[0]) & (ahead < _SAT_ON_M[1]), 2]
    top = max(float(sat_on.min()) + PRESSED_M, _LEAST_M)
    forward = _STOOL_FORWARD_M
    backed = _HEIGHT in kind.shape
    if backed:
        height = max(height, top + _LEAST_BACK_M)
        forward = depth / 2 - (_SOFA_BACK_M if depth > _SOFA_DEPTH_M else _CHAIR_BACK_M)
    else:
        height = top
    forward = min(forward, edge - depth / 2)
    middle = hips + forward * facing
    return ThingSpec(
        kind=kind.kind,
        role="seat",
        size_m=(width, depth, height),
        shape={_HEIGHT: top} if backed else {},
        materials=materials(kind, rng),
        position_m=(float(middle[0]), float(middle[1]), 0.0),
        yaw_rad=person.yaw_rad,
    )


def materials(kind: ThingKind, rng: Generator) -> tuple[Material, ...]:
    """Return as many materials as the kind's builder takes, or none: then it has its usual ones.

    Things that grow (their shape has a variant) keep their own green.
    """
    patterns = kind.patterns or ("plain",)
    drawn = tuple(
        palette.surface(patterns[int(rng.random() * len(patterns))], rng)
        for _ in range(kind.materials)
    )
    return () if rng.random() < _USUAL or "variant" in kind.shape else drawn
