"""Furnishing of streets and parks, behind people."""

from __future__ import annotations

import math
from dataclasses import replace

from synthstudio.core.camera import Camera
from synthstudio.core.spec import ObjectSpec, RoomBackdrop, Vec2
from synthstudio.recipe.layout.site import GAP_M, TRIES, Site, allowed, box_of, built, count
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.schema.distributions import pick

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


def outdoor_scenery(site: Site, room: RoomBackdrop) -> list[ObjectSpec]:
    """Objects behind the people, scattered over the floor."""
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
            middle, half = _seen_at(first, y)
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


def _seen_at(camera: Camera, y_m: float) -> Vec2:
    """Middle and half the width, along x, of a camera's view at a distance."""
    far = y_m - camera.position_m[1]
    half = far * camera.width_px / 2 / camera.focal_px * camera.spread[0]
    return camera.position_m[0] - far * math.tan(camera.yaw_rad), half


def _row(site: Site, room: RoomBackdrop, behind_m: float) -> list[ObjectSpec]:
    rng = site.ctx.shared_rng("row")
    kinds = allowed(site, _ROWS[room.floor.pattern == "grass"])
    if not kinds or rng.random() >= _ROW_SHARE:
        return []
    kind = site.ctx.catalogue.objects[pick(kinds, rng)]
    tall = kind.size_high_m[2]
    y = behind_m + 1.5 + 0.5 * tall + palette.between(0.0, 1.0, rng) ** 2 * 8.0
    middle, half = _seen_at(site.cameras[0], y)
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
