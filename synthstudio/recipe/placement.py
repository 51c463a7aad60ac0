"""Where people and their seats stand: on the floor, in view, at least `min_gap_m` apart.

A search by numbered candidates: each is tried as it is drawn, later ones reach farther, the
first that is free is taken. Where the answer is no, fewer people would be a silent change of
the recipe, so it is an error.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from synthstudio.core.camera import Camera
from synthstudio.core.catalogue import KeyPose
from synthstudio.core.errors import RecipeError, explain
from synthstudio.core.rng import Generator
from synthstudio.core.scene import F64
from synthstudio.core.solve import Solve
from synthstudio.core.spec import PersonSpec, ThingSpec
from synthstudio.recipe.choose import Draw
from synthstudio.recipe.detail import detail_at
from synthstudio.recipe.distributions import AnyNumber, sample
from synthstudio.recipe.model import Group
from synthstudio.recipe.seats import draw_seat

CANDIDATES = 160
CLEAR_M = 0.3
"""Nothing that is in front of the camera comes nearer than this along z."""
_WIDEN_EVERY = 16
_STEP_BACK_M = 0.02
_IN_VIEW = 0.8
_SAME_SPOT_M = 0.12
_CORNERS = np.array(list(np.ndindex(2, 2, 2)))


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A person or thing and its box (2, 3): least and greatest world corner."""

    item: PersonSpec | ThingSpec
    box_m: F64


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What placing looks at: the frame, geometry, and the camera's view of the floor."""

    draw: Draw
    solve: Solve
    camera: Camera
    distance_m: float

    def half_width_m(self, depth_m: float) -> float:
        """Return half the width of the view that many metres from the camera, less a margin."""
        return _IN_VIEW * depth_m * self.camera.width_px / 2 / self.camera.focal_px

    def middle_m(self, depth_m: float) -> float:
        """Return world x of the view's middle that many metres from the camera."""
        return -depth_m * math.tan(self.camera.yaw_rad)

    def clear(self, box_m: F64) -> bool:
        """Return whether a box lies wholly in front of the camera by `CLEAR_M`, or behind it."""
        z = self.camera.to_camera(corners(box_m))[:, 2]
        return bool(z.min() > CLEAR_M or z.max() < 0)

    def ahead(self, box_m: F64) -> bool:
        """Return whether a box lies wholly in front of the camera by `CLEAR_M`."""
        return bool(self.camera.to_camera(corners(box_m))[:, 2].min() > CLEAR_M)

    def free(self, new: Placed, placed: tuple[Placed, ...] | list[Placed]) -> bool:
        """Return whether `new` keeps the recipe's gap to everything in `placed`."""
        least = self.draw.recipe.people.min_gap_m
        near = [other for other in placed if _box_gap_m(new.box_m, other.box_m) < least]
        if any(_same_spot(new, other) for other in near):
            return False
        return all(self.solve.gap_m(new.item, other.item) >= least for other in near)


def corners(box_m: F64) -> F64:
    """Return the (8, 3) corners of a box (2, 3)."""
    return box_m[_CORNERS, np.arange(3)]


def moved(placed: Placed, x_m: float, y_m: float) -> Placed:
    """Return the same item shifted over the floor."""
    x, y, z = placed.item.position_m
    item = dataclasses.replace(placed.item, position_m=(x + x_m, y + y_m, z))
    return Placed(item=item, box_m=placed.box_m + np.array([x_m, y_m, 0.0]))


def place_people(stage: Stage, people: tuple[tuple[PersonSpec, KeyPose], ...]) -> list[Placed]:
    """Return everybody on the floor, in order, and after them the seats that they need.

    RecipeError names frame and count when even spreading out finds no room.
    """
    everybody: list[Placed] = []
    seats: list[Placed] = []
    rng = stage.draw.rng("arrangement")
    reach = sample(_reach(stage), rng)
    for place, (person, key) in enumerate(people):
        first = _candidate(stage, stage.draw.rng("spot", place), 0, place=place, reach_m=reach)
        detail = detail_at(stage.camera, *first)
        parts = _parts(stage, dataclasses.replace(person, detail=detail), key, place)
        spot = _spot(stage, parts, everybody + seats, place=place, reach_m=reach)
        if spot is None:
            raise RecipeError(
                explain(
                    f"no room for person {place + 1} of {len(people)}",
                    where=stage.draw.where,
                    expected=f"a free place among {CANDIDATES} tried",
                    then="Ask for fewer people, a smaller min_gap_m or things, or more spread.",
                )
            )
        seen = detail_at(stage.camera, *spot)
        here = [moved(part, *spot) for part in parts]
        if seen != detail:
            again = _parts(stage, dataclasses.replace(person, detail=seen), key, place)
            again = [moved(part, *spot) for part in again]
            # Millimetres differ, so it may not fit where the other did; then that stays.
            if all(stage.free(part, everybody + seats) for part in again):
                here = again
        everybody.append(here[0])
        seats += here[1:]
    return everybody + seats


def _reach(stage: Stage) -> AnyNumber:
    arrangement = stage.draw.recipe.people.arrangement
    return arrangement.spread_m if isinstance(arrangement, Group) else arrangement.depth_m


def _parts(stage: Stage, person: PersonSpec, key: KeyPose, place: int) -> list[Placed]:
    """Return the person on the floor at the world's origin, and the seat if the pose needs one."""
    unit = _stood(stage, person)
    return [unit, _seat(stage, unit, place)] if key.needs == "seat" else [unit]


def _stood(stage: Stage, person: PersonSpec) -> Placed:
    """Return the person on the floor at the world's origin."""
    person = dataclasses.replace(person, position_m=(0.0, 0.0, float(stage.solve.drop_m(person))))
    return Placed(item=person, box_m=stage.solve.box_m(person))


def _seat(stage: Stage, unit: Placed, place: int) -> Placed:
    assert isinstance(unit.item, PersonSpec)
    joints = stage.solve.joints_m(unit.item)
    seat = draw_seat(stage.draw, unit.item, joints, stage.draw.rng("seat", place))
    return Placed(item=seat, box_m=stage.solve.box_m(seat))


def _spot(
    stage: Stage, parts: list[Placed], placed: list[Placed], *, place: int, reach_m: float
) -> tuple[float, float] | None:
    """Return the shift to the first free candidate, or None."""
    rng = stage.draw.rng("spot", place)
    for number in range(CANDIDATES):
        x, y = _candidate(stage, rng, number, place=place, reach_m=reach_m)
        here = [moved(part, x, y) for part in parts]
        if all(stage.ahead(part.box_m) and stage.free(part, placed) for part in here):
            return x, y
    return None


def _candidate(
    stage: Stage, rng: Generator, number: int, *, place: int, reach_m: float
) -> tuple[float, float]:
    """Return the world x, y of a candidate; later ones lie farther out and farther back."""
    u, v = rng.random(2)
    widen = 1.0 + 0.5 * (number // _WIDEN_EVERY)
    if isinstance(stage.draw.recipe.people.arrangement, Group):
        radius = reach_m * widen * math.sqrt(u) * (0.5 if place == 0 else 1.0)
        if number >= _WIDEN_EVERY:
            radius += 0.3 * (number // _WIDEN_EVERY)
        x, y = radius * math.cos(2 * math.pi * v), radius * math.sin(2 * math.pi * v)
        y += _STEP_BACK_M * number
    else:
        near, far = stage.distance_m, stage.distance_m + reach_m * widen
        # The view's width grows with depth: as many people to every square metre.
        depth = math.sqrt(near * near + (far * far - near * near) * u)
        x = stage.middle_m(depth) + (2 * v - 1) * stage.half_width_m(depth)
        y = depth - stage.distance_m
    depth = y + stage.distance_m
    middle, half = stage.middle_m(depth), stage.half_width_m(max(depth, CLEAR_M))
    return float(min(max(x, middle - half), middle + half)), float(y)


def _box_gap_m(a: F64, b: F64) -> float:
    """Return a lower bound of `Solve.gap_m`: how far two boxes are parted along x or y."""
    apart = np.maximum(a[0, :2] - b[1, :2], b[0, :2] - a[1, :2])
    return float(apart.max())


def _same_spot(a: Placed, b: Placed) -> bool:
    """Return whether the middles of two boxes all but coincide; then they meet for sure."""
    middle = (a.box_m.sum(axis=0) - b.box_m.sum(axis=0))[:2] / 2
    return math.hypot(float(middle[0]), float(middle[1])) < _SAME_SPOT_M
