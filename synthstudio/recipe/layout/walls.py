"""What stands and hangs at the walls of rooms, backs to the wall."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from synthstudio.core.scene import F64
from synthstudio.core.spec import Material, Pattern, RoomBackdrop, ThingSpec, Vec2, Vec3
from synthstudio.recipe.layout.placement import CLEAR_M, corners
from synthstudio.recipe.layout.site import (
    GAP_M,
    TRIES,
    Site,
    allowed,
    box_of,
    built,
    count,
    gaps_m,
    hides_nobody,
)
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.schema.distributions import pick

OFF_WALL_M = 0.025
"""Furniture stands so far from the wall, before the skirting board."""
_WALLS = {"back": 0.56, "left": 0.22, "right": 0.22}
_PIECES = (3, 7)
_ROOMS: tuple[dict[str, float], ...] = (
    {"sofa": 2, "bookcase": 2, "potted_plant": 2, "screen": 1, "cupboard": 1.5, "table": 1,
     "chair": 1, "stool": 0.5},
    {"bookcase": 2, "table": 3, "chair": 1, "cupboard": 2, "bin": 1, "potted_plant": 1,
     "cardboard_box": 1},
    {"counter": 3, "cupboard": 3, "table": 2, "stool": 1, "chair": 1, "bin": 1},
    {"crate": 2, "cardboard_box": 3, "cupboard": 1, "bookcase": 1, "barrel": 1, "suitcase": 1,
     "partition": 0.5},
)  # fmt: skip
"""What stands in living rooms, offices, kitchens and stores."""
_TABLE, _CHAIR = "table", "chair"
_PRINTS: tuple[Pattern, ...] = (
    "plain", "stripes", "checks", "dots", "plaid", "camouflage", "wood", "tiles",
)  # fmt: skip
_DAYLIGHT: tuple[Vec3, ...] = ((0.9, 0.95, 1.0), (1.0, 1.0, 1.0), (0.7, 0.85, 1.0))


@dataclass(frozen=True, kw_only=True)
class _Wall:
    """A wall from `start` on along `along` (unit), `inward` its normal into the room."""

    start: F64
    along: F64
    inward: F64
    length_m: float
    least_m: float  # what of it is worth using: from here
    most_m: float  # to here

    @property
    def yaw_rad(self) -> float:
        """Return the yaw of what has its back to the wall: fronts are at -y."""
        return round(math.atan2(float(self.inward[0]), -float(self.inward[1])), 6)


def at_walls(site: Site, room: RoomBackdrop) -> list[ThingSpec]:
    """Return furniture, and what is in the walls or hangs on them."""
    rng, walls = site.rng, _walls_of(site, room)
    shares = {name: share for name, share in _WALLS.items() if name in walls}
    doors, windows, prints, pieces = (
        count(low, high, rng) for low, high in ((0, 1), (0, 2), (0, 3), _PIECES)
    )
    # Where there are further cameras, the wall behind the first is seen, too.
    if len({camera.position_m for camera in site.cameras}) > 1:
        shares["front"] = 0.2
    out: list[ThingSpec] = []
    for hung in ["door"] * doors + ["window"] * windows:
        _put(site, walls[pick(shares, rng)], _fitting(site, hung, room.size_m[2]), out)
    kinds = allowed(site, _ROOMS[int(rng.random() * len(_ROOMS))])
    for _ in range(pieces if kinds else 0):
        wall = walls[pick(shares, rng)]
        kind = site.draw.catalogue.things[pick(kinds, rng)]
        thing = built(kind, rng)
        if _put(site, wall, thing, out) and kind.kind == _TABLE:
            _seat_at(site, out, wall)
    for hung in ["picture"] * prints + ["switch"]:
        _put(site, walls[pick(shares, rng)], _fitting(site, hung, room.size_m[2]), out)
    return out + _skirting(site, walls, out)


def _walls_of(site: Site, room: RoomBackdrop) -> dict[str, _Wall]:
    """Return the four walls, as seen from the camera, and which part of each is in its view."""
    (cx, cy), (width, depth, _) = room.centre_m, room.size_m
    x0, x1, y0, y1 = cx - width / 2, cx + width / 2, cy - depth / 2, cy + depth / 2
    first = site.cameras[0]
    far = y1 - first.position_m[1]
    half = far * first.width_px / 2 / first.focal_px * first.spread[0]
    middle = first.position_m[0] - far * math.tan(first.yaw_rad)
    left, right = (min(max(middle + k * half, x0), x1) - x0 for k in (-1.1, 1.1))
    if right - left < 0.5 * half:
        left, right = 0.0, width
    ahead = depth / 2  # of the walls beside people only the far half is in view

    def wall(x: float, y: float, along: Vec2, inward: Vec2, part: tuple[float, Vec2]) -> _Wall:
        return _Wall(
            start=np.array([x, y]),
            along=np.array(along),
            inward=np.array(inward),
            length_m=part[0],
            least_m=part[1][0],
            most_m=part[1][1],
        )

    return {
        "back": wall(x0, y1, (1.0, 0.0), (0.0, -1.0), (width, (left, right))),
        "left": wall(x0, y0, (0.0, 1.0), (1.0, 0.0), (depth, (ahead, depth))),
        "right": wall(x1, y0, (0.0, 1.0), (-1.0, 0.0), (depth, (ahead, depth))),
        "front": wall(x0, y0, (1.0, 0.0), (0.0, 1.0), (width, (0.0, width))),
    }


def _put(site: Site, wall: _Wall, thing: ThingSpec | None, out: list[ThingSpec]) -> bool:
    """Put a thing with its back to the wall where it is free; False where no place is tried."""
    if thing is None:
        return False
    width, depth, _ = thing.size_m
    low = max(wall.least_m - width / 2, width / 2 + OFF_WALL_M)
    high = min(wall.most_m + width / 2, wall.length_m - width / 2 - OFF_WALL_M)
    off = depth / 2 + (0.001 if thing.kind in _HUNG else OFF_WALL_M)
    for _ in range(TRIES if low < high else 0):
        at = wall.start + wall.along * palette.between(low, high, site.rng) + wall.inward * off
        here = replace(
            thing,
            position_m=(round(float(at[0]), 4), round(float(at[1]), 4), thing.position_m[2]),
            yaw_rad=wall.yaw_rad,
        )
        if site.takes(box_of(here), out):
            out.append(here)
            return True
    return False


def _seat_at(site: Site, out: list[ThingSpec], wall: _Wall) -> None:
    """Put a chair before the table that was put last, looking at it, where there is space."""
    kinds = allowed(site, {_CHAIR: 1.0})
    if not kinds:
        return
    chair, table = built(site.draw.catalogue.things[min(kinds)], site.rng), out[-1]
    away = (table.size_m[1] + chair.size_m[1]) / 2 + GAP_M + 0.02
    x, y = np.array(table.position_m[:2]) + wall.inward * away
    turned = math.remainder(wall.yaw_rad + math.pi, math.tau)
    here = replace(chair, position_m=(float(x), float(y), 0.0), yaw_rad=round(turned, 6))
    if site.takes(box_of(here), out):
        out.append(here)


_HUNG = frozenset({"door", "window", "picture", "switch", "skirting"})
"""What is part of a wall or hangs on it."""


def _fitting(site: Site, kind: str, height_m: float) -> ThingSpec | None:
    """Return a door, window, picture or switch for a wall of that height, at the origin."""
    rng = site.rng
    found = allowed(site, {kind: 1.0})
    if not found:
        return None
    thing = built(site.draw.catalogue.things[min(found)], rng)
    width, depth, tall = thing.size_m
    foot = 0.0
    frame = palette.wall("plain", rng)
    if kind == "door":
        depth = 0.08
        made: tuple[Material, ...] = (frame, palette.surface("wood", rng), frame)
        made = made if rng.random() < 0.5 else (frame, palette.wall("plain", rng), frame)
    elif kind == "window":
        foot = palette.between(0.75, 1.05, rng)
        bright = palette.choose(_DAYLIGHT, rng) if rng.random() < 0.8 else (0.02, 0.025, 0.04)
        made = (frame, Material(base_rgb=bright, roughness=0.2, specular=0.05))
    elif kind == "picture":
        foot = palette.between(1.3, 1.7, rng) - tall / 2
        pattern = _PRINTS[int(rng.random() * len(_PRINTS))]
        printed = palette.surface(pattern, rng)
        printed = replace(printed, scale_m=palette.between(0.05, 0.4, rng))
        made = (palette.surface("plain", rng), printed)
    else:
        foot, made = 1.05, (frame, frame)
    if foot + tall > height_m - 0.1:
        return None
    return replace(
        thing, size_m=(width, depth, tall), materials=made, position_m=(0.0, 0.0, round(foot, 3))
    )


def _skirting(site: Site, walls: dict[str, _Wall], out: list[ThingSpec]) -> list[ThingSpec]:
    """Return boards along the walls between the doors, or none."""
    rng = site.rng
    wanted, tall, thick = rng.random() < 0.7, palette.between(0.06, 0.12, rng), 0.014
    found = allowed(site, {"skirting": 1.0})
    if not (wanted and found):
        return []
    made = (palette.wall("plain", rng),)
    boards = []
    for wall in walls.values():
        ends = [0.0]
        for door in sorted(
            (float((np.array(t.position_m[:2]) - wall.start) @ wall.along), t.size_m[0] / 2)
            for t in out
            if t.kind == "door" and t.yaw_rad == wall.yaw_rad
        ):
            ends += [door[0] - door[1] - 0.005, door[0] + door[1] + 0.005]
        ends.append(wall.length_m)
        for a, b in zip(ends[::2], ends[1::2], strict=True):
            at = wall.start + wall.along * (a + b) / 2 + wall.inward * (thick / 2 + 0.001)
            board = ThingSpec(
                kind="skirting",
                role="scenery",
                size_m=(round(b - a - 2 * thick - 0.004, 4), thick, round(tall, 4)),
                materials=made,
                position_m=(round(float(at[0]), 4), round(float(at[1]), 4), 0.0),
                yaw_rad=wall.yaw_rad,
            )
            if board.size_m[0] > 0.05 and _clear(site, board):
                boards.append(board)
    return boards


def _clear(site: Site, thing: ThingSpec) -> bool:
    """Return whether a thing at a wall neither meets what stands nor hides anybody."""
    box = box_of(thing)
    if len(site.standing) and gaps_m(box, site.standing).min() <= 0:
        return False
    for camera, seen in zip(site.cameras, site.seen, strict=True):
        depth = camera.to_camera(corners(box))[:, 2]
        # A board that runs past the camera is clipped: it lies on the floor at the wall.
        if depth.min() > CLEAR_M and not hides_nobody(camera, box, *seen):
            return False
        if depth.min() <= CLEAR_M < depth.max() and abs(depth).min() < CLEAR_M:
            return False
    return True
