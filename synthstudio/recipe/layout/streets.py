"""What stands in streets and parks, behind people."""

from __future__ import annotations

import math
from dataclasses import replace

from synthstudio.core.spec import RoomBackdrop, ThingSpec
from synthstudio.recipe.layout.site import TRIES, Site, allowed, box_of, built, count
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.schema.distributions import pick

_OPEN: tuple[dict[str, float], ...] = (
    {"building": 4, "car": 3, "pole": 1, "bin": 1, "low_wall": 1, "bench": 1, "kiosk": 0.7,
     "sign_board": 1, "tree": 1},
    {"tree": 5, "shrub": 3, "hedge": 3, "bench": 1.5, "fence": 1.5, "bin": 0.7, "building": 0.7},
)  # fmt: skip
"""What stands in streets and in parks."""
_LONG = frozenset({"building", "fence", "hedge", "low_wall", "railing", "bench", "kiosk", "car"})
"""Kinds that stand along or across the street."""


def in_the_open(site: Site, room: RoomBackdrop) -> list[ThingSpec]:
    """Return things behind the people, here and there as far as the floor goes."""
    rng, first = site.rng, site.cameras[0]
    kinds = allowed(site, _OPEN[int(rng.random() * len(_OPEN))])
    behind = float(site.standing[:, 1, 1].max()) if len(site.standing) else 0.0
    last = room.centre_m[1] + room.size_m[1] / 2
    street = (rng.random() - 0.5) * 0.5
    out: list[ThingSpec] = []
    for _ in range(count(4, 8, rng) if kinds else 0):
        kind = site.draw.catalogue.things[pick(kinds, rng)]
        thing = built(kind, rng)
        size = max(thing.size_m[:2])
        for _ in range(TRIES):
            nearest = behind + 1.0 + 0.6 * thing.size_m[2] + size / 2
            y = nearest + palette.between(0.0, 1.0, rng) ** 2 * 22.0
            far = y - first.position_m[1]
            half = far * first.width_px / 2 / first.focal_px * first.spread[0] + size / 4
            x = first.position_m[0] - far * math.tan(first.yaw_rad) + half * (2 * rng.random() - 1)
            yaw = street + (math.pi / 2 if kind.kind == "car" else 0.0)
            if kind.kind not in _LONG:
                yaw = (2 * rng.random() - 1) * math.pi
            here = replace(thing, position_m=(round(x, 3), round(y, 3), 0.0), yaw_rad=round(yaw, 4))
            box = box_of(here)
            inside = abs(x - room.centre_m[0]) + size < room.size_m[0] / 2 and y + size < last
            if inside and site.takes(box, [box_of(t) for t in out]):
                out.append(here)
                break
    return out
