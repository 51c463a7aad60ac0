"""Valid places for scenery: free, clear of cameras, hiding nobody; a room's walls."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64
from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import ObjectKind
from synthstudio.core.rng import Generator
from synthstudio.core.spec import Material, ObjectSpec, PersonSpec, RoomBackdrop, Vec2, Vec3
from synthstudio.recipe.layout.placement import CLEAR_M, Placed, corners
from synthstudio.recipe.sampling import palette
from synthstudio.recipe.sampling.context import SampleContext

GAP_M = 0.05
"""Minimum gap between scenery objects,"""
PEOPLE_M = 0.15
"""and to the boxes of people and their objects."""
TRIES = 12
_PANES: tuple[Vec3, ...] = ((0.02, 0.025, 0.03), (0.08, 0.1, 0.13), (0.25, 0.32, 0.4))


@dataclass(frozen=True, kw_only=True)
class Site:
    """Constraints on new objects: existing items, and the cameras' views of people."""

    ctx: SampleContext
    rng: Generator
    cameras: tuple[Camera, ...]
    standing: F64  # (N, 2, 3) boxes
    seen: tuple[tuple[F64, F64], ...]  # a camera: (P, 2, 2) pixels and (P,) depths of people

    def takes(self, box_m: F64, new_m: Sequence[F64]) -> bool:
        """Whether a box is free, also of added ones, clear of cameras, and hides nobody."""
        if len(self.standing) and gaps_m(box_m, self.standing).min() < PEOPLE_M:
            return False
        if new_m and gaps_m(box_m, np.array(new_m)).min() < GAP_M:
            return False
        return all(
            clear_of_people(camera, box_m, *seen)
            for camera, seen in zip(self.cameras, self.seen, strict=True)
        )


def box_of(obj: ObjectSpec) -> F64:
    """The world box (2, 3) of an object turned about z alone, or a larger one."""
    width, depth, height = obj.size_m
    c, s = abs(math.cos(obj.yaw_rad)), abs(math.sin(obj.yaw_rad))
    half = np.array([c * width + s * depth, s * width + c * depth, 0.0]) / 2
    foot = np.array(obj.position_m)
    return np.stack([foot - half, foot + half + (0.0, 0.0, height)])


def gaps_m(box_m: F64, boxes_m: F64) -> F64:
    """Return (N,) the gap of boxes along their most separated axis; negative if they overlap."""
    return np.asarray(np.maximum(box_m[0] - boxes_m[:, 1], boxes_m[:, 0] - box_m[1]).max(axis=1))


def view_of(camera: Camera, standing: Sequence[Placed]) -> tuple[F64, F64]:
    """(P, 2, 2) pixels and (P,) depths of people that a camera may see."""
    people = [
        camera.to_camera(corners(p.box_m)) for p in standing if isinstance(p.item, PersonSpec)
    ]
    seen = [at for at in people if at[:, 2].max() > 0]
    rects = np.array([_rect_px(camera, at) for at in seen]).reshape(-1, 2, 2)
    return rects, np.array([float(at[:, 2].max()) for at in seen])


def _rect_px(camera: Camera, at: F64) -> F64:
    """(2, 2) the bounding rectangle of a box's corners; unbounded if some are too near."""
    if at[:, 2].min() < CLEAR_M:
        return np.array([[-np.inf, -np.inf], [np.inf, np.inf]])
    px = camera.project(at)
    return np.stack([px.min(axis=0), px.max(axis=0)])


def clear_of_people(camera: Camera, box_m: F64, rects_px: F64, depths_m: F64) -> bool:
    """Whether a box is behind the camera, or clear of it and not in front of a person."""
    at = camera.to_camera(corners(box_m))
    if at[:, 2].max() < 0:
        return True
    if at[:, 2].min() <= CLEAR_M:
        return False
    low, high = _rect_px(camera, at)
    meets = (rects_px[:, 0] < high + 2).all(axis=1) & (rects_px[:, 1] > low - 2).all(axis=1)
    return not (meets & (depths_m > at[:, 2].min())).any()


def count(low: int, high: int, rng: Generator) -> int:
    return low + int(rng.random() * (high - low + 1))


def allowed(site: Site, wanted: dict[str, float]) -> dict[int, float]:
    """Places in the catalogue and weights; held-out kinds are in no train frame."""
    train = site.ctx.split == "train"
    return {
        place: wanted[kind.kind]
        for place, kind in enumerate(site.ctx.catalogue.objects)
        if kind.kind in wanted and not (train and site.ctx.occluder_held(kind))
    }


def natural_size(kind: ObjectKind, rng: Generator) -> Vec3:
    shared = float(rng.random())
    width, depth, height = (
        round(low + (high - low) * (0.6 * shared + 0.4 * float(rng.random())), 3)
        for low, high in zip(kind.size_low_m, kind.size_high_m, strict=True)
    )
    return width, depth, height


def built(kind: ObjectKind, rng: Generator) -> ObjectSpec:
    size = natural_size(kind, rng)
    made = palette.materials(kind, rng)
    if kind.kind == "building":
        pattern = kind.patterns[int(rng.random() * len(kind.patterns))]
        pane = Material(base_rgb=palette.choose(_PANES, rng), roughness=0.1, specular=0.06)
        made = (palette.wall(pattern, rng), pane, palette.wall("plain", rng))
    return ObjectSpec(kind=kind.kind, role="scenery", size_m=size, materials=made)


def seen_at(camera: Camera, y_m: float) -> Vec2:
    """Middle and half the width, along x, of a camera's view at a distance."""
    far = y_m - camera.position_m[1]
    half = far * camera.width_px / 2 / camera.focal_px * camera.spread[0]
    return camera.position_m[0] - far * math.tan(camera.yaw_rad), half


# Walls --------------------------------------------------------------------------------------


@dataclass(frozen=True)
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
        x, y = self.start + self.along * along_m + self.inward * inward_m
        return round(float(x), 4), round(float(y), 4)

    def of_m(self, obj: ObjectSpec) -> Vec2:
        away = np.array(obj.position_m[:2]) - self.start
        return float(away @ self.along), float(away @ self.inward)


def walls_of(site: Site, room: RoomBackdrop) -> dict[str, Wall]:
    """The four walls, as seen from the camera, with their parts in its view."""
    (cx, cy), (width, depth, _) = room.centre_m, room.size_m
    x0, x1, y0, y1 = cx - width / 2, cx + width / 2, cy - depth / 2, cy + depth / 2
    middle, half = seen_at(site.cameras[0], y1)
    left, right = (min(max(middle + k * half, x0), x1) - x0 for k in (-1.1, 1.1))
    if right - left < 0.5 * half:
        left, right = 0.0, width
    # Of the walls beside people only the far half is in view.
    across, along, half_way = (1.0, 0.0), (0.0, 1.0), depth / 2
    return {
        name: Wall(np.array(start), np.array(way), np.array(inward), *metres)
        for name, start, way, inward, *metres in (
            ("back", (x0, y1), across, (0.0, -1.0), width, left, right),
            ("left", (x0, y0), along, (1.0, 0.0), depth, half_way, depth),
            ("right", (x1, y0), along, (-1.0, 0.0), depth, half_way, depth),
            ("front", (x0, y0), across, (0.0, 1.0), width, 0.0, width),
        )
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
    doors = [obj for obj in out if obj.kind == "door"]
    for wall in walls.values():
        ends = [0.0]
        own = ((wall.of_m(d)[0], d.size_m[0] / 2) for d in doors if d.yaw_rad == wall.yaw_rad)
        for at, half in sorted(own):
            ends += [at - half - 0.005, at + half + 0.005]
        ends.append(wall.length_m)
        for a, b in zip(ends[::2], ends[1::2], strict=True):
            board = ObjectSpec(
                kind="skirting",
                role="scenery",
                size_m=(round(b - a - 2 * thick - 0.004, 4), thick, round(tall, 4)),
                materials=made,
                position_m=(*wall.at_m((a + b) / 2, thick / 2 + 0.001), 0.0),
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
