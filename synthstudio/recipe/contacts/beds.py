"""Beds under people who lie, and blankets over them.

A blanket is a height field over its bed: the lowest sheet above mattress and dressed body that
bends no more than its weight lets it (a membrane over an obstacle, by projected Jacobi steps).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from scipy.ndimage import maximum_filter, uniform_filter

from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import MATTRESS
from synthstudio.core.scene import F64, PARTS
from synthstudio.core.spec import Material, ObjectSpec, Pattern, PersonSpec
from synthstudio.recipe.contacts.supports import drawn_size
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.schema.distributions import sample

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
    width, depth, height = drawn_size(kind, rng)
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
    sheet = _draped(_obstacle_m(triangles, across, along, top))
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


def _obstacle_m(triangles: F64, across: F64, along: F64, top: float) -> F64:
    """(Y, X) least heights: no point of the triangles' corners, edges' middles and centres is above
    the sheet between them."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    points = np.concatenate([a, b, c, (a + b) / 2, (b + c) / 2, (c + a) / 2, (a + b + c) / 3])
    step = (across[1] - across[0], along[1] - along[0])
    cell = np.floor((points[:, :2] - (across[0], along[0])) / step).astype(np.int64)
    size = (len(across) - 1, len(along) - 1)
    inside = ((cell >= 0) & (cell < size)).all(axis=1)
    highest = np.full(size[0] * size[1], top)
    x, y = cell[inside].T
    np.maximum.at(highest, y * size[0] + x, points[inside, 2] + _CLEAR_M)
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
