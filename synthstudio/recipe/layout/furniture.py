"""Furnishing of a bare floor: furniture, doors, windows and pictures at a room's walls; houses,
trees, cars and fences behind people outdoors.

They are placed last, after people, objects and cameras, with separate random streams. The kind of
place is known before: occluders fit it. Their role is scenery: they hide nobody from any camera of
the group at any time of a clip, so all of its frames share them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.spec import Backdrop, ObjectSpec, RoomBackdrop, Vec2
from synthstudio.recipe.layout.indoors import indoors, interior_of
from synthstudio.recipe.layout.placement import Placed
from synthstudio.recipe.layout.site import (
    GAP_M,
    TRIES,
    Site,
    allowed,
    box_of,
    built,
    count,
    seen_at,
    view_of,
)
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext
from synthstudio.recipe.sampling.interiors import INTERIORS
from synthstudio.recipe.sampling.view import Behind, floor_pattern
from synthstudio.recipe.schema import scene as scene_schema
from synthstudio.recipe.schema.distributions import pick

Reach = tuple[Vec2, Vec2]

_FREE_SIDES_M = ((0.0, 1.2), (0.5, 1.6))
"""Extra width on either side of a furnished room, and depth behind the people."""
_OPEN: tuple[dict[str, float], ...] = (
    {"building": 4, "car": 3, "pole": 1, "bin": 1, "bench": 1, "kiosk": 0.7,
     "sign_board": 1, "tree": 1},
    {"tree": 5, "shrub": 3, "hedge": 3, "bench": 1.5, "bin": 0.7, "building": 0.7},
)  # fmt: skip
"""Objects of streets and of parks."""
_ROWS: tuple[dict[str, float], ...] = (
    {"tree": 3, "hedge": 3, "building": 3, "fence": 1},
    {"tree": 3, "hedge": 3, "building": 3, "shrub": 1.5, "fence": 1},
)
_ALIKE = frozenset({"hedge", "fence"})
"""All of these in a row share size and colour."""
_ROW_SHARE, _MAX_IN_A_ROW = 0.75, 14
"""How often a row of one of these kinds stands behind all else, across the picture's width, and
how many at most."""
_LONG = frozenset({"building", "fence", "hedge", "low_wall", "railing", "bench", "kiosk", "car"})
"""Kinds that stand along or across the street."""


def furnished(ctx: SampleContext, behind: Behind) -> bool:
    options = behind.options
    if not isinstance(options, scene_schema.Room) or options.furnished <= 0:
        return False
    return bool(ctx.shared_rng("furnished").random() < options.furnished)


def places_of(ctx: SampleContext, behind: Behind) -> frozenset[str]:
    """What the frame's place is (ObjectKind.places): a bare room any room; empty: not known."""
    options = behind.options
    if not isinstance(options, scene_schema.Room):
        return frozenset()
    if behind.place == "outdoors":
        grass = floor_pattern(ctx, options, walls=False) == "grass"
        return frozenset({"outdoors", "green" if grass else "street"})
    rooms = [interior_of(ctx)] if furnished(ctx, behind) else INTERIORS
    return frozenset({"indoors", *rooms})


def with_space(ctx: SampleContext, reach_m: Reach) -> Reach:
    rng = ctx.shared_rng("furniture space")
    left, right = (palette.between(*_FREE_SIDES_M[0], rng) for _ in range(2))
    back = palette.between(*_FREE_SIDES_M[1], rng)
    (x0, x1), (y0, y1) = reach_m
    return (x0 - left, x1 + right), (y0, y1 + back)


def furnish(
    ctx: SampleContext, room: Backdrop, cameras: Sequence[Camera], standing: Sequence[Placed]
) -> list[Placed]:
    """The furnishings of a place, with their boxes, floor objects first."""
    assert isinstance(room, RoomBackdrop)
    site = Site(
        ctx=ctx,
        rng=ctx.shared_rng("furniture"),
        cameras=tuple(cameras),
        standing=np.array([p.box_m for p in standing]).reshape(-1, 2, 3),
        seen=tuple(view_of(camera, standing) for camera in cameras),
    )
    new = indoors(site, room) if room.walls else outdoor_scenery(site, room)
    return [Placed(item=obj, box_m=box_of(obj)) for obj in new]


# Streets and parks ----------------------------------------------------------------------------


def outdoor_scenery(site: Site, room: RoomBackdrop) -> list[ObjectSpec]:
    rng, first = site.rng, site.cameras[0]
    kinds = allowed(site, _OPEN[room.floor.pattern == "grass"])
    behind = float(site.standing[:, 1, 1].max()) if len(site.standing) else 0.0
    last = room.centre_m[1] + room.size_m[1] / 2
    street = (rng.random() - 0.5) * 0.5
    out = _row(site, room, behind)
    for _ in range(count(4, 8, rng) if kinds else 0):
        kind = site.ctx.catalogue.objects[pick(kinds, rng)]
        obj = built(kind, rng)
        size = max(obj.size_m[:2])
        for _ in range(TRIES):
            nearest = behind + 1.0 + 0.6 * obj.size_m[2] + size / 2
            y = nearest + palette.between(0.0, 1.0, rng) ** 2 * 22.0
            middle, half = seen_at(first, y)
            x = middle + (half + size / 4) * (2 * rng.random() - 1)
            yaw = street + (math.pi / 2 if kind.kind == "car" else 0.0)
            if kind.kind not in _LONG:
                yaw = (2 * rng.random() - 1) * math.pi
            here = replace(obj, position_m=(round(x, 3), round(y, 3), 0.0), yaw_rad=round(yaw, 4))
            box = box_of(here)
            inside = abs(x - room.centre_m[0]) + size < room.size_m[0] / 2 and y + size < last
            if inside and site.takes(box, [box_of(t) for t in out]):
                out.append(here)
                break
    return out


def _row(site: Site, room: RoomBackdrop, behind_m: float) -> list[ObjectSpec]:
    rng = site.ctx.shared_rng("row")
    kinds = allowed(site, _ROWS[room.floor.pattern == "grass"])
    if not kinds or rng.random() >= _ROW_SHARE:
        return []
    kind = site.ctx.catalogue.objects[pick(kinds, rng)]
    tall = kind.size_high_m[2]
    y = behind_m + 1.5 + 0.5 * tall + palette.between(0.0, 1.0, rng) ** 2 * 8.0
    middle, half = seen_at(site.cameras[0], y)
    half = min(half, room.size_m[0] / 2 - abs(middle - room.centre_m[0]))
    out: list[ObjectSpec] = []
    x = middle - half
    first = built(kind, rng)
    while x < middle + half and len(out) < _MAX_IN_A_ROW:
        obj = first if kind.kind in _ALIKE else built(kind, rng)
        width, depth = obj.size_m[:2]
        back = palette.between(0.0, 0.3, rng) * depth
        here = replace(
            obj, position_m=(round(x + width / 2, 3), round(y + depth / 2 + back, 3), 0.0)
        )
        if y + 2 * depth < room.centre_m[1] + room.size_m[1] / 2 and site.takes(box_of(here), []):
            out.append(here)
        x += width + GAP_M + 0.002  # places are rounded
    return out
