"""Fastened seat belts: two straps over trunk and lap of who sits in a car, as height fields.

A strap runs from anchor to anchor in a plane, pulled tight: along each of its lines it is the
lowest concave curve above the dressed body.
"""

import math
from collections.abc import Iterator

import numpy as np
from scipy.spatial import ConvexHull, cKDTree

from synthstudio.core.arrays import F64
from synthstudio.core.catalogue import CABIN_REAR_M, CABIN_SIDE, SEAT_BELT
from synthstudio.core.scene import PARTS
from synthstudio.core.spec import ObjectSpec, PersonSpec
from synthstudio.recipe.contacts.grips import angles_of
from synthstudio.recipe.contacts.supports import obstacle_m
from synthstudio.recipe.sampling.context import SampleContext

_UP = np.array([0.0, 0.0, 1.0])
_TRUNK = ("torso", "pelvis")
_LAP = (*_TRUNK, "left_thigh", "right_thigh")
_ARMS = tuple(part for part in PARTS if part.endswith(("hand", "forearm")))
_NEAR_M = 0.05
"""Hips at most this far from a seat's are on it."""
_WIDE_M, _LINES, _STEP_M, _CLEAR_M = 0.048, 7, 0.01, 0.004
_TILT = 0.6
"""A strap's greatest slope across."""
_LAP_RAD = math.radians(42)
"""The lap strap's plane: its front is so far up."""
_BELOW_M, _BESIDE_M = 0.14, 0.03
"""From the hip joints down to a lap strap's ends, from the hips' sides out to them."""
_BUCKLE = 0.14
"""Where along the lap strap the shoulder strap begins."""
_RING_M = (0.11, 0.25, 0.32)
"""The shoulder strap's upper end in a post: in from the side, behind the hips, below the roof."""
_RING_OVER_M = 0.08
"""That end is at most so far above the shoulders, as one adjusted to its wearer."""
_OVER, _ABOVE_M = 0.58, 0.06
"""The shoulder strap passes so far out to the shoulder joint, and so far above it."""


def draw_belts(
    ctx: SampleContext, person: PersonSpec, place: int, cabin: ObjectSpec
) -> Iterator[ObjectSpec]:
    """Yield the lap and shoulder strap of a person if they sit in the cabin and wear a belt."""
    rng = ctx.rng("belt", place)
    kinds = [kind for kind in ctx.catalogue.objects if kind.kind == SEAT_BELT]
    at = ctx.joints_m(person)
    hips, shoulders = ((at[f"left_{j}"] + at[f"right_{j}"]) / 2 for j in ("hip", "shoulder"))
    c, s = math.cos(cabin.yaw_rad), math.sin(cabin.yaw_rad)
    left, front = np.array([c, s, 0.0]), np.array([s, -c, 0.0])
    width, depth, height = cabin.size_m
    x, y = (hips - np.array(cabin.position_m)) @ np.stack([left, -front], axis=1)
    off = math.hypot(abs(x) - CABIN_SIDE * width, y - depth / 2 + CABIN_REAR_M)
    worn = rng.random() < ctx.recipe.people.belt
    if off > _NEAR_M or not worn or not ctx.allowed(kinds, rng, held=ctx.occluder_held):
        return
    out, side = math.copysign(1.0, x) * left, "left" if x > 0 else "right"
    normal = math.cos(_LAP_RAD) * front + math.sin(_LAP_RAD) * _UP
    pelvis = ctx.geometry.skin_m(person, ("pelvis",))
    half = float(np.abs((pelvis - hips) @ left).max()) + _BESIDE_M
    ends = hips - half * out - _BELOW_M * normal, hips + half * out - _BELOW_M * normal
    lap, line = _strap(ctx, person, place, cabin, ends, normal, _LAP)
    buckle = line[round(_BUCKLE * len(line))]
    inward, behind, below = _RING_M
    ring = np.array(cabin.position_m) + (width / 2 - inward) * out
    up = min(height - below, shoulders[2] - cabin.position_m[2] + _RING_OVER_M)
    ring += up * _UP - (depth / 2 - CABIN_REAR_M + behind) * front
    over = shoulders + _OVER * (at[f"{side}_shoulder"] - shoulders) + _ABOVE_M * _UP
    across = np.cross(ring - buckle, over - buckle)
    straight = np.cross(across, ring - buckle)
    straight *= np.sign(straight @ front) / np.linalg.norm(straight)
    yield lap
    yield _strap(ctx, person, place, cabin, (buckle, ring), straight, _TRUNK)[0]


def _strap(
    ctx: SampleContext,
    person: PersonSpec,
    place: int,
    cabin: ObjectSpec,
    ends: tuple[F64, F64],
    normal: F64,
    parts: tuple[str, ...],
) -> tuple[ObjectSpec, F64]:
    """A tight strap between two points over what is worn on some parts, and (N, 3) its middle line.

    Hands and forearms press it against them. Its height is along `normal`.
    """
    middle, way = (ends[0] + ends[1]) / 2, ends[1] - ends[0]
    long = float(np.linalg.norm(way))
    turn = np.stack([np.cross(way / long, normal), way / long, normal], axis=1)
    across = np.linspace(-_WIDE_M / 2, _WIDE_M / 2, _LINES)
    along = np.linspace(-long / 2, long / 2, 1 + math.ceil(long / _STEP_M))
    body = ctx.geometry.triangles_m(person)
    body = body[np.abs((body.mean(axis=1) - middle) @ turn[:, 0]) < _WIDE_M]
    others = tuple(part for part in PARTS if part not in (*parts, *_ARMS))
    trees = (cKDTree(ctx.geometry.skin_m(person, own)) for own in (parts, _ARMS, others))
    of = np.argmin([tree.query(body.mean(axis=1))[0] for tree in trees], axis=0)
    under, arms = ((body[of == k] - middle) @ turn for k in (0, 1))
    lines = obstacle_m(under, across, along, 0.0, clear_m=_CLEAR_M).T
    lines = (lines - _TILT * np.abs(across[:, None] - across)[..., None]).max(axis=1)
    tight = np.stack([_tight(along, line) for line in lines], axis=1)
    limit = -obstacle_m(arms * (1, 1, -1), across, along, -long, clear_m=_CLEAR_M)
    heights = np.maximum(lines.T, np.minimum(tight, limit))
    low = float(heights.min())
    heights = np.round(heights - low, 4)
    at = middle + low * normal
    yaw, pitch, roll = angles_of(turn)
    strap = ObjectSpec(
        kind=SEAT_BELT,
        size_m=(_WIDE_M, long, float(np.ptp(heights))),
        materials=cabin.materials[1:2],
        position_m=(float(at[0]), float(at[1]), float(at[2])),
        yaw_rad=yaw,
        pitch_rad=pitch,
        roll_rad=roll,
        held_by=place,
        heights_m=tuple(tuple(row) for row in heights.tolist()),
    )
    return strap, at + np.stack([0 * along, along, heights[:, _LINES // 2]], axis=1) @ turn.T


def _tight(along: F64, heights: F64) -> F64:
    """The lowest concave curve above the heights, of which none is below 0."""
    ends = [(along[0], -1.0), (along[-1], -1.0)]
    hull = ConvexHull(np.concatenate([np.column_stack([along, heights]), ends]))
    kept = np.sort(hull.vertices)[:-2]
    return np.interp(along, along[kept], heights[kept])
