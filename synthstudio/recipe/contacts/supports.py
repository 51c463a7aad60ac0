"""Objects to lean or sit on: at the height of hands, forearms or hips, or upright behind."""

from __future__ import annotations

import math

import numpy as np

from synthstudio.core.catalogue import KeyPose, MeshAsset, ObjectKind
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64, PARTS
from synthstudio.core.spec import Material, ObjectSpec, PersonSpec, Vec3
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, pick_one
from synthstudio.recipe.sampling.people import facing

FLAT = frozenset({"table", "counter", "low_wall", "railing", "barrel", "crate"})
"""Kinds whose top supports hands or forearms; others are leant against."""
_UP = np.array([0.0, 0.0, 1.0])
_HANDS = ("left_hand", "right_hand")
_ARMS = (("left_hand", "left_forearm"), ("right_hand", "right_forearm"))
_LEVEL_M = 0.06
"""Both arms rest if their lowest points differ by less than this, else the higher one."""
_CLOTHES_M = 0.012
_EDGE_M = 0.04
_SOFT_M = 0.004
_REACHED_M = 0.36
_LEGS_APART_M = 1.15
"""Of a table with a seated person: its legs are outside the knees."""
_ABOVE_M = 0.12


def draw_support(
    ctx: SampleContext,
    person: PersonSpec,
    key: KeyPose,
    kinds: tuple[ObjectKind, ...],
    rng: Generator,
) -> ObjectSpec:
    """The support for a person on the floor: the kind of `kinds` whose height fits best."""
    flat = tuple(kind for kind in kinds if kind.kind in FLAT)
    if flat:
        return _under_arms(ctx, person, key, flat, rng)
    return _against(ctx, person, kinds, rng)


def _under_arms(
    ctx: SampleContext,
    person: PersonSpec,
    key: KeyPose,
    kinds: tuple[ObjectKind, ...],
    rng: Generator,
) -> ObjectSpec:
    """An object whose top is under the resting arms, its near edge at the body."""
    arms = [ctx.geometry.skin_m(person, parts) for parts in _ARMS]
    lowest = [float(arm[:, 2].min()) for arm in arms]
    resting = [a for a, z in zip(arms, lowest, strict=True) if z > max(lowest) - _LEVEL_M]
    skin = np.concatenate(resting)
    top = float(skin[:, 2].min()) + _SOFT_M
    touching = skin[skin[:, 2] < top + 0.02]
    middle = ctx.geometry.skin_m(person, ("pelvis",)).mean(axis=0)
    ahead = facing(person)
    ahead = ahead if (touching.mean(axis=0) - middle) @ ahead > 0 else -ahead
    across = np.cross(ahead, _UP)
    sits = key.needs == "seat"
    near = _near_edge_m(ctx, person, top=top, ahead=ahead, sits=sits)
    kind = _as_high_as(kinds, top, rng)
    width, depth = (palette.between(kind.size_low_m[k], kind.size_high_m[k], rng) for k in range(2))
    width = max(width, min(_LEGS_APART_M, kind.size_high_m[0])) if sits else width
    along = touching @ ahead
    # The touching points nearest to and farthest from the edge lie on the top.
    near = min(near, float(along.min()) - _EDGE_M / 2) if along.min() > near else near
    depth = max(depth, min(float(along.max()) + _EDGE_M - near, kind.size_high_m[1]))
    side = touching @ across
    spare = 0.0 if sits else max(0.0, width / 2 - float(np.ptp(side)) / 2 - _EDGE_M)
    sideways = float(side.min() + side.max()) / 2 + (2 * float(rng.random()) - 1) * min(spare, 0.3)
    centre = (near + depth / 2) * ahead + sideways * across
    return _support(kind, (width, depth, top), centre, ahead, rng)


def _near_edge_m(
    ctx: SampleContext, person: PersonSpec, *, top: float, ahead: F64, sits: bool
) -> float:
    """The edge's position along `ahead`: in front of all body parts below the top."""
    if sits:
        trunk = ctx.geometry.skin_m(person, ("torso", "pelvis"))
        at = trunk[np.abs(trunk[:, 2] - top) < 0.1]
        at = at if len(at) else trunk
        return float((at @ ahead).max()) + _CLOTHES_M
    body = ctx.geometry.skin_m(
        person, tuple(p for p in PARTS if not p.endswith(("hand", "forearm")))
    )
    return float((body[body[:, 2] < top] @ ahead).max()) + _CLOTHES_M


def _as_high_as(kinds: tuple[ObjectKind, ...], top: float, rng: Generator) -> ObjectKind:

    def off(kind: ObjectKind) -> float:
        return max(kind.size_low_m[2] - top, top - kind.size_high_m[2], 0.0)

    minimum = min(off(kind) for kind in kinds)
    fits = [kind for kind in kinds if off(kind) <= max(minimum, 0.02)]
    return fits[int(rng.random() * len(fits))]


def _support(kind: ObjectKind, size_m: Vec3, centre: F64, ahead: F64, rng: Generator) -> ObjectSpec:
    return ObjectSpec(
        kind=kind.kind,
        role="support",
        size_m=size_m,
        materials=materials(kind, rng),
        position_m=(round(float(centre[0]), 5), round(float(centre[1]), 5), 0.0),
        yaw_rad=round(math.atan2(-float(ahead[0]), float(ahead[1])), 6),
    )


def _against(
    ctx: SampleContext, person: PersonSpec, kinds: tuple[ObjectKind, ...], rng: Generator
) -> ObjectSpec:
    """An upright object touched by the outstretched hand, else by the back."""
    body = ctx.geometry.skin_m(person, PARTS)
    hips = ctx.geometry.skin_m(person, ("pelvis",)).mean(axis=0)
    palms = ctx.geometry.palms_m(person)
    reach = [math.hypot(*(palm[:2, 3] - hips[:2])) for palm in palms]
    hand = int(np.argmax(reach))
    if reach[hand] > _REACHED_M:
        ahead = palms[hand][:3, 2] * (1.0, 1.0, 0.0)
        ahead = np.asarray(ahead / np.linalg.norm(ahead))
        touching = ctx.geometry.skin_m(person, (_HANDS[hand],))
    else:
        ahead = -facing(person)
        touching = ctx.geometry.skin_m(person, ("torso", "pelvis"))
    across = np.cross(ahead, _UP)
    near = float((body @ ahead).max()) - _SOFT_M
    nearest = touching[touching @ ahead > (touching @ ahead).max() - 0.02]
    kind = kinds[int(rng.random() * len(kinds))]
    minimum = float(nearest[:, 2].max()) + _ABOVE_M
    low, high = kind.size_low_m, kind.size_high_m
    width, depth = (palette.between(low[k], high[k], rng) for k in range(2))
    tall = palette.between(max(low[2], min(minimum, high[2])), max(high[2], minimum), rng)
    spare = max(0.0, width / 2 - 0.12)
    sideways = float((nearest @ across).mean()) + (2 * float(rng.random()) - 1) * min(spare, 0.3)
    centre = (near + depth / 2) * ahead + sideways * across
    return _support(kind, (width, depth, tall), centre, ahead, rng)


# Seats -----------------------------------------------------------------------------------

PRESSED_M = 0.012
"""How far buttocks and trousers are compressed by a seat."""
_SAT_ON = ("pelvis", "left_thigh", "right_thigh")
_SAT_ON_M = (0.12, 0.16)
"""A seat supports this far behind and in front of the hip joints."""
NARROW_M = 0.6
"""A seat at a table fits between its legs."""
_HANGING_M = 0.04
"""A hand beside a seat hangs this far below its top."""
_MIN_M = 0.08
_USUAL = 0.4
"""How often an object has the builder's default colours."""
_HEIGHT = "seat_height_m"
_MIN_BACK_M = 0.35
_STOOL_FORWARD_M = 0.05
_CHAIR_BACK_M = 0.19
_SOFA_BACK_M = 0.5
"""From a seat's rear edge to the hip joints: the back's thickness and half a trunk."""
_SOFA_DEPTH_M = 0.65
_SHIN_M = 0.11
_MIN_EDGE_M = 0.12
"""From the hip joints to a seat's front edge, with the feet drawn in below it."""


def seats_in(ctx: SampleContext) -> tuple[ObjectKind, ...]:
    """The seats possible in this frame; if none, nobody sits."""
    train = ctx.split == "train"
    return _suited(ctx, tuple(k for k in _seats(ctx) if not (train and ctx.occluder_held(k))))


def _seats(ctx: SampleContext) -> tuple[ObjectKind, ...]:
    weights = ctx.recipe.people.seats
    able = (kind for kind in ctx.catalogue.objects if "seat" in kind.roles)
    return tuple(kind for kind in able if (weights or {kind.kind: 1}).get(kind.kind))


def _suited(ctx: SampleContext, kinds: tuple[ObjectKind, ...]) -> tuple[ObjectKind, ...]:
    """Those that suit the place; seats that the recipe names suit everywhere."""
    return kinds if ctx.recipe.people.seats else ctx.fitting(kinds)


def draw_seat(
    ctx: SampleContext, person: PersonSpec, rng: Generator, *, narrow: bool = False
) -> ObjectSpec:
    """A seat under the hips of a person already placed on the floor.

    `narrow`: only seats that fit between a table's legs, or with hands beside them. A kind with
    `seat_height_m` has a back: it is placed behind the hips and is taller than that; others are as
    high as the hips. The front edge stays behind the shins.
    """
    at = ctx.joints_m(person)
    hips = (at["left_hip"] + at["right_hip"]) / 2
    front = facing(person)
    shins = [at[f"{side}_{j}"] for side in ("left", "right") for j in ("knee", "ankle")]
    edge = max(min(float((shin - hips) @ front) for shin in shins) - _SHIN_M, _MIN_EDGE_M)
    skin = ctx.geometry.skin_m(person, _SAT_ON)
    ahead = (skin - hips) @ front
    sat_on = skin[(ahead > -_SAT_ON_M[0]) & (ahead < _SAT_ON_M[1]), 2]
    top = max(float(sat_on.min()) + PRESSED_M, _MIN_M)
    kinds = _suited(ctx, ctx.allowed(_seats(ctx), rng, held=ctx.occluder_held))
    if narrow or float(ctx.geometry.skin_m(person, _HANDS)[:, 2].min()) < top - _HANGING_M:
        kinds = tuple(kind for kind in kinds if kind.size_high_m[0] <= NARROW_M) or kinds
    kind = pick_one(kinds, rng, weights=ctx.recipe.people.seats, name=lambda kind: kind.kind)
    width, depth, height = drawn_size(kind, rng)
    forward = _STOOL_FORWARD_M
    backed = _HEIGHT in kind.shape
    if backed:
        forward = depth / 2 - (_SOFA_BACK_M if depth > _SOFA_DEPTH_M else _CHAIR_BACK_M)
    height = max(height, top + _MIN_BACK_M) if backed else top
    forward = min(forward, edge - depth / 2)
    middle = hips + forward * front
    return ObjectSpec(
        kind=kind.kind,
        role="seat",
        size_m=(width, depth, height),
        shape={_HEIGHT: top} if backed else {},
        materials=materials(kind, rng),
        position_m=(float(middle[0]), float(middle[1]), 0.0),
        yaw_rad=person.yaw_rad,
    )


def drawn_size(kind: ObjectKind, rng: Generator) -> Vec3:
    ranges = zip(kind.size_low_m, kind.size_high_m, strict=True)
    width, depth, height = (palette.between(low, high, rng) for low, high in ranges)
    return width, depth, height


def materials(kind: ObjectKind | MeshAsset, rng: Generator) -> tuple[Material, ...]:
    """As many materials as the kind's builder takes; none: its defaults, or a mesh's own.

    Plants (shapes with a variant) keep their own green.
    """
    if isinstance(kind, MeshAsset):
        return ()
    patterns = kind.patterns or ("plain",)
    drawn = tuple(
        palette.surface(patterns[int(rng.random() * len(patterns))], rng)
        for _ in range(kind.materials)
    )
    return () if rng.random() < _USUAL or "variant" in kind.shape else drawn
