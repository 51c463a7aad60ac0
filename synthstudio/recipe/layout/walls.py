"""The walls of a room, their parts seen by cameras, and skirting boards."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from synthstudio.core.scene import F64
from synthstudio.core.spec import ObjectSpec, RoomBackdrop, Vec2
from synthstudio.recipe.layout.placement import CLEAR_M, corners
from synthstudio.recipe.layout.site import Site, allowed, box_of, clear_of_people, gaps_m
from synthstudio.recipe.sampling import palette


@dataclass(frozen=True, kw_only=True)
class Wall:
    """A wall from `start` on along `along` (unit), `inward` its normal into the room."""

    start: F64
    along: F64
    inward: F64
    length_m: float
    min_m: float  # usable part: from here
    max_m: float  # to here

    @property
    def yaw_rad(self) -> float:
        """The yaw of an object with its back to the wall: fronts are at -y."""
        return round(math.atan2(float(self.inward[0]), -float(self.inward[1])), 6)

    def at_m(self, along_m: float, inward_m: float) -> Vec2:
        """The place at that distance along the wall and from it."""
        x, y = self.start + self.along * along_m + self.inward * inward_m
        return round(float(x), 4), round(float(y), 4)

    def of_m(self, obj: ObjectSpec) -> Vec2:
        """An object's distance along the wall, and from it."""
        away = np.array(obj.position_m[:2]) - self.start
        return float(away @ self.along), float(away @ self.inward)


def walls_of(site: Site, room: RoomBackdrop) -> dict[str, Wall]:
    """The four walls, as seen from the camera, with their parts in its view."""
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

    def wall(x: float, y: float, along: Vec2, inward: Vec2, part: tuple[float, Vec2]) -> Wall:
        return Wall(
            start=np.array([x, y]),
            along=np.array(along),
            inward=np.array(inward),
            length_m=part[0],
            min_m=part[1][0],
            max_m=part[1][1],
        )

    return {
        "back": wall(x0, y1, (1.0, 0.0), (0.0, -1.0), (width, (left, right))),
        "left": wall(x0, y0, (0.0, 1.0), (1.0, 0.0), (depth, (ahead, depth))),
        "right": wall(x1, y0, (0.0, 1.0), (-1.0, 0.0), (depth, (ahead, depth))),
        "front": wall(x0, y0, (1.0, 0.0), (0.0, 1.0), (width, (0.0, width))),
    }


def skirting(site: Site, walls: dict[str, Wall], out: list[ObjectSpec]) -> list[ObjectSpec]:
    """Skirting boards between the doors, or none."""
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
            (wall.of_m(t)[0], t.size_m[0] / 2)
            for t in out
            if t.kind == "door" and t.yaw_rad == wall.yaw_rad
        ):
            ends += [door[0] - door[1] - 0.005, door[0] + door[1] + 0.005]
        ends.append(wall.length_m)
        for a, b in zip(ends[::2], ends[1::2], strict=True):
            at = wall.start + wall.along * (a + b) / 2 + wall.inward * (thick / 2 + 0.001)
            board = ObjectSpec(
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


def _clear(site: Site, obj: ObjectSpec) -> bool:
    """Whether an object at a wall neither intersects others nor hides a person."""
    box = box_of(obj)
    if len(site.standing) and gaps_m(box, site.standing).min() <= 0:
        return False
    for camera, seen in zip(site.cameras, site.seen, strict=True):
        depth = camera.to_camera(corners(box))[:, 2]
        # A board that runs past the camera is clipped: it lies on the floor at the wall.
        if depth.min() > CLEAR_M and not clear_of_people(camera, box, *seen):
            return False
        if depth.min() <= CLEAR_M < depth.max() and abs(depth).min() < CLEAR_M:
            return False
    return True
