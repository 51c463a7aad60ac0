"""Objects to lean, sit or lie on: at the height of hands, forearms or hips, or upright behind.

A blanket is a height field over its bed: the lowest sheet above mattress and dressed body that
bends no more than its weight lets it (a membrane over an obstacle, by projected Jacobi steps).
"""

import dataclasses
import math

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter

from synthstudio.core.arrays import F64
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import (
    BESIDE,
    CABIN,
    CABIN_REAR_M,
    CABIN_SIDE,
    MATTRESS,
    KeyPose,
    ObjectKind,
)
from synthstudio.core.rng import Generator
from synthstudio.core.scene import PARTS
from synthstudio.core.spec import Material, ObjectSpec, Pattern, PersonSpec, Vec3
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext, pick_one
from synthstudio.recipe.sampling.people import facing
from synthstudio.recipe.schema.distributions import sample

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
        materials=palette.materials(kind, rng),
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
_HEIGHT = "seat_height_m"
_MIN_BACK_M, _CABIN_HIGH_M = 0.35, 1.02
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
    ctx: SampleContext, person: PersonSpec, rng: Generator, *, narrow: bool
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
    top = _top_m(ctx, person, hips)
    kinds = _suited(ctx, ctx.allowed(_seats(ctx), rng, held=ctx.occluder_held))
    if narrow or float(ctx.geometry.skin_m(person, _HANDS)[:, 2].min()) < top - _HANGING_M:
        kinds = tuple(kind for kind in kinds if kind.size_high_m[0] <= NARROW_M) or kinds
    kind = pick_one(kinds, rng, weights=ctx.recipe.people.seats, name=lambda kind: kind.kind)
    width, depth, height = palette.drawn_size(kind, rng)
    forward = _STOOL_FORWARD_M
    backed = _HEIGHT in kind.shape
    if backed:
        forward = depth / 2 - (_SOFA_BACK_M if depth > _SOFA_DEPTH_M else _CHAIR_BACK_M)
    height = max(height, top + _MIN_BACK_M) if backed else top
    middle = hips + min(forward, edge - depth / 2) * front
    materials = palette.materials(kind, rng)
    if kind.kind == CABIN:
        inside = (palette.cloth(("plain",), rng, patterned=0, saturated=0.05) for _ in range(2))
        materials = (*inside, palette.wall("plain", rng))
        height = max(height, top + _CABIN_HIGH_M)
        left = np.cross(_UP, front)
        middle = hips + (depth / 2 - CABIN_REAR_M) * front - CABIN_SIDE * width * left
    return ObjectSpec(
        kind=kind.kind,
        role="seat",
        size_m=(width, depth, height),
        shape={_HEIGHT: top} if backed else {},
        materials=materials,
        position_m=(float(middle[0]), float(middle[1]), 0.0),
        yaw_rad=person.yaw_rad,
    )


def _top_m(ctx: SampleContext, person: PersonSpec, hips: F64) -> float:
    """The height of a seat under a sitting person."""
    skin = ctx.geometry.skin_m(person, _SAT_ON)
    ahead = (skin - hips) @ facing(person)
    sat_on = skin[(ahead > -_SAT_ON_M[0]) & (ahead < _SAT_ON_M[1]), 2]
    return max(float(sat_on.min()) + PRESSED_M, _MIN_M)


def seat_beside(
    ctx: SampleContext, person: PersonSpec, cabin: ObjectSpec
) -> tuple[PersonSpec, ObjectSpec]:
    """The person on the cabin's right seat, and the cabin with that seat as high as they sit."""
    z = float(ctx.geometry.drop_m(person))
    person = dataclasses.replace(person, yaw_rad=cabin.yaw_rad, position_m=(0.0, 0.0, z))
    at, front = ctx.joints_m(person), facing(person)
    hips = (at["left_hip"] + at["right_hip"]) / 2
    top = _top_m(ctx, person, hips)
    width, depth, height = cabin.size_m
    back = (depth / 2 - CABIN_REAR_M) * front
    x, y, _ = cabin.position_m - CABIN_SIDE * width * np.cross(_UP, front) - back - hips
    person = dataclasses.replace(person, position_m=(float(x), float(y), z))
    shape = cabin.shape | {BESIDE: top - cabin.shape[_HEIGHT]}
    size = (width, depth, max(height, top + _CABIN_HIGH_M))
    return person, dataclasses.replace(cabin, size_m=size, shape=shape)


# Beds and blankets ------------------------------------------------------------------------------

_TOP = 0.55
"""The mattress's share of a bed's height."""
_TAKEN_OFF = ("shoes", "hat", "over", "neck", "hands")
_SINKS_M = 0.015
_BESIDE_M, _HEADBOARD_M = 0.05, 0.17
_INSET_M = {"bed": 0.02, "hospital_bed": 0.09}
"""From a bed's sides and foot to the blanket's edge on the mattress; rails stand outside it."""
_HANGS_M = {"bed": (0.1, 0.3), "hospital_bed": (0.02, 0.05)}
_CELL_M, _CLEAR_M, _SAG_M = 0.03, 0.012, 0.0016
_STEPS = 160
_WAVES, _WAVE_M = 4, 0.004
_PATTERNS: tuple[Pattern, ...] = ("plain", "knit", "stripes", "checks", "plaid")
_SHORTEST_M = 0.4
_BISECTIONS = 6


def draw_bed(
    ctx: SampleContext, lying: PersonSpec, place: int
) -> tuple[PersonSpec, *tuple[ObjectSpec, ...]]:
    """The person, lying on the floor, in a bed at the same spot, then bed and blanket.

    The person alone if the recipe draws no bed, none belongs to the frame's place, or none is wide
    enough.
    """
    options, rng = ctx.recipe.people.bed, ctx.rng("bed", place)
    if rng.random() >= options.share:
        return (lying,)
    kinds = tuple(k for k in ctx.catalogue.objects if "bed" in k.roles and ctx.suits(k))
    kinds = ctx.allowed(kinds, rng, held=ctx.occluder_held)
    slots = {kind.kind: kind.slot for kind in ctx.catalogue.garments}
    outfit = tuple(g for g in lying.outfit if slots[g.kind] not in _TAKEN_OFF)
    person = dataclasses.replace(lying, outfit=outfit)
    axes = _axes(ctx, person)
    body = ctx.geometry.skin_m(person, PARTS) @ axes.T
    low, high = body.min(axis=0), body.max(axis=0)
    wide = float(high[0] - low[0]) + 2 * _BESIDE_M
    kinds = tuple(k for k in kinds if k.size_high_m[0] - 2 * _INSET_M[k.kind] >= wide)
    if not kinds:
        return (lying,)
    kind = kinds[int(rng.random() * len(kinds))]
    width, depth, height = palette.drawn_size(kind, rng)
    width = max(width, wide + 2 * _INSET_M[kind.kind])
    ends_m = _HEADBOARD_M + _BESIDE_M + _INSET_M[kind.kind]
    depth = max(depth, float(high[1] - low[1]) + ends_m)
    top = round(_TOP * height, 4)
    x, y, _ = person.position_m
    z = top - _SINKS_M + ctx.geometry.drop_m(person)
    person = dataclasses.replace(person, position_m=(x, y, z))
    middle = np.array([(low[0] + high[0]) / 2, high[1] + _HEADBOARD_M - depth / 2, 0.0])
    centre = middle @ axes
    wood: tuple[Material, ...] = ()
    if kind.kind == "bed":
        frame = palette.surface(kind.patterns[int(rng.random() * len(kind.patterns))], rng)
        wood = (frame, *(palette.wall("plain", rng) for _ in range(2)))
    bed = ObjectSpec(
        kind=kind.kind,
        role="seat",
        size_m=(width, depth, height),
        shape={MATTRESS: top},
        materials=wood,
        position_m=(round(float(centre[0]), 5), round(float(centre[1]), 5), 0.0),
        yaw_rad=round(math.atan2(float(axes[0, 1]), float(axes[0, 0])), 6),
    )
    if rng.random() >= options.blanket:
        return person, bed
    return person, bed, _blanket(ctx, person, bed, place, sample(options.pulled_up, rng))


def _axes(ctx: SampleContext, person: PersonSpec) -> F64:
    """(3, 3) rows: across the lying body, from its feet to its head, up."""
    head, hips = (ctx.geometry.skin_m(person, (p,)).mean(axis=0) for p in ("head", "pelvis"))
    x, y = (head - hips)[:2] / math.hypot(*(head - hips)[:2])
    return np.array([[y, -x, 0.0], [x, y, 0.0], [0.0, 0.0, 1.0]])


def _blanket(
    ctx: SampleContext, person: PersonSpec, bed: ObjectSpec, place: int, up: float
) -> ObjectSpec:
    """A blanket over the bed's sides, from its foot up to the share `up` of the body's length."""
    rng = ctx.rng("blanket", place)
    c, s = math.cos(bed.yaw_rad), math.sin(bed.yaw_rad)
    axes = np.array([[c, s, 0.0], [-s, c, 0.0], [0.0, 0.0, 1.0]])
    triangles = (ctx.geometry.triangles_m(person) - np.array(bed.position_m)) @ axes.T
    top, inset = bed.shape[MATTRESS], _INSET_M[bed.kind]
    feet, crown = float(triangles[..., 1].min()), float(triangles[..., 1].max())
    half, foot = bed.size_m[0] / 2 - inset, inset - bed.size_m[1] / 2
    edge = max(feet + up * (crown - feet), foot + _SHORTEST_M)
    across = np.linspace(-half, half, 1 + math.ceil(2 * half / _CELL_M))
    along = np.linspace(foot, edge, 1 + math.ceil((edge - foot) / _CELL_M))
    sheet = _draped(obstacle_m(triangles, across, along, top, clear_m=_CLEAR_M))
    for angle, fine, phase in rng.random((_WAVES, 3)) * (2 * math.pi, 1.0, 2 * math.pi):
        way = math.cos(angle) * across + math.sin(angle) * along[:, None]
        sheet += _WAVE_M * (1 + np.sin((15 + 25 * fine) * way + phase))
    sheet = np.pad(sheet, ((1, 0), (1, 1)), mode="edge")
    rim = np.ones(sheet.shape, bool)
    rim[1:, 1:-1] = False
    sheet[rim] = top - palette.between(*_HANGS_M[bed.kind], rng)
    low = round(float(sheet.min()), 3)
    heights = np.round(sheet - low, 3)
    dx, dy = across[1] - across[0], along[1] - along[0]
    centre = np.array([0.0, (foot - dy + edge) / 2, 0.0]) @ axes + np.array(bed.position_m)
    cloth = palette.cloth(_PATTERNS, rng, patterned=0.5, saturated=0.2)
    return ObjectSpec(
        kind="blanket",
        size_m=(float(np.ptp(across)) + 2 * dx, edge - foot + dy, float(np.ptp(heights))),
        materials=(cloth, palette.wall("plain", rng)),
        position_m=(round(float(centre[0]), 5), round(float(centre[1]), 5), low),
        yaw_rad=bed.yaw_rad,
        held_by=place,
        heights_m=tuple(tuple(row) for row in heights.tolist()),
    )


def blanket_to(
    ctx: SampleContext,
    camera: Camera,
    person: PersonSpec,
    bed: ObjectSpec,
    place: int,
    hidden: float,
) -> ObjectSpec:
    """The blanket that hides the share `hidden` of the person's pixels, by bisection."""
    body = ctx.geometry.depths_m((person,), camera)
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        blanket = _blanket(ctx, person, bed, place, middle)
        covered = (ctx.geometry.depths_m((blanket,), camera) < body)[np.isfinite(body)]
        if covered.size and covered.mean() < hidden:
            low = middle
        else:
            high = middle
    return blanket


def obstacle_m(triangles: F64, across: F64, along: F64, top: float, *, clear_m: float) -> F64:
    """(Y, X) least heights: no point of the triangles' corners, edges' middles and centres is above
    the sheet between them, nor nearer to it than `clear_m`."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    points = np.concatenate([a, b, c, (a + b) / 2, (b + c) / 2, (c + a) / 2, (a + b + c) / 3])
    step = (across[1] - across[0], along[1] - along[0])
    cell = np.floor((points[:, :2] - (across[0], along[0])) / step).astype(np.int64)
    size = (len(across) - 1, len(along) - 1)
    inside = ((cell >= 0) & (cell < size)).all(axis=1)
    highest = np.full(size[0] * size[1], top)
    x, y = cell[inside].T
    np.maximum.at(highest, y * size[0] + x, points[inside, 2] + clear_m)
    around = np.pad(highest.reshape(size[1], size[0]), 1, mode="edge")
    return np.max([around[:-1, :-1], around[:-1, 1:], around[1:, :-1], around[1:, 1:]], axis=0)


def _draped(obstacle: F64) -> F64:
    """The sheet over the obstacle, its edges free and its peaks round."""
    # Above the highest of nine cells, so that a mean of nine is above the middle one.
    grown = maximum_filter(obstacle, 3, mode="nearest")
    sheet = grown
    for _ in range(_STEPS):
        p = np.pad(sheet, 1, mode="edge")
        mean = (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:]) / 4
        sheet = np.maximum(mean - _SAG_M, grown)
    return np.asarray(uniform_filter(sheet, 3, mode="nearest"))
