"""The floor that people stand on: of a photo (Ground), of a user's place (FloorPlan)."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from synthstudio.core.arrays import F64, Bool
from synthstudio.core.camera import Camera
from synthstudio.core.spec import Vec2

REACH_M = (1.0, 15.0)
"""Maximum distance of visible floor for a photo to be usable."""
_EVERYWHERE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
_GRID = 48


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A whole photo's camera and floor; places are normalised to the photo, 0..1.

    `floor` is a polygon; without one feet may stand anywhere on the visible floor plane.
    The sun's azimuth is relative to the camera: 0 behind it, 90 degrees from the right.
    """

    camera_height_m: float
    pitch_rad: float
    vertical_fov_rad: float
    roll_rad: float = 0.0
    floor: tuple[Vec2, ...] = ()
    sun_elevation_rad: float | None = None
    sun_azimuth_rad: float | None = None

    def camera(self, size_px: tuple[int, int]) -> Camera:
        """The camera of the whole photo, over the world's origin, looking along +y."""
        width, height = size_px
        return Camera(
            width_px=width,
            height_px=height,
            focal_px=height / 2 / math.tan(self.vertical_fov_rad / 2),
            position_m=(0.0, 0.0, self.camera_height_m),
            yaw_rad=0.0,
            pitch_rad=self.pitch_rad,
            roll_rad=self.roll_rad,
        )

    @property
    def outline(self) -> F64:
        """The (K, 2) corners inside which feet may stand."""
        return np.array(self.floor or _EVERYWHERE)

    def holds(self, places: F64) -> Bool:
        """(N,) whether feet may stand at places (N, 2), by the even-odd rule."""
        if not self.floor:
            return np.ones(len(places), np.bool_)
        a, b = self.outline, np.roll(self.outline, -1, axis=0)
        x, y = places[:, :1], places[:, 1:]
        level = np.where(a[:, 1] == b[:, 1], 1.0, b[:, 1] - a[:, 1])
        crossed = a[:, 0] + (y - a[:, 1]) * (b[:, 0] - a[:, 0]) / level
        between = (a[:, 1] > y) != (b[:, 1] > y)
        return np.asarray((between & (x < crossed)).sum(axis=1) % 2 == 1)

    def within(self, unit: F64) -> F64:
        """Numbers (N, 2) of 0..1 stretched to the box round the outline."""
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        return np.asarray(low + unit * (high - low))

    def grid(self) -> F64:
        """Places (N, 2) all over the box round the outline."""
        steps = (np.arange(_GRID) + 0.5) / _GRID
        return self.within(np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2))

    def floor_m(self, places: F64, size_px: tuple[int, int]) -> F64:
        """(N, 2) floor positions at places: metres right of the camera, ahead of it.

        NaN above the horizon and beside the outline.
        """
        found = self.camera(size_px).floor_m(places * np.array(size_px))
        found[~self.holds(places)] = np.nan
        return found

    def has_room(self, size_px: tuple[int, int]) -> bool:
        """Whether floor is visible within `REACH_M`."""
        away = np.linalg.norm(self.floor_m(self.grid(), size_px), axis=1)
        return bool(((away >= REACH_M[0]) & (away <= REACH_M[1])).any())


CELL_M = 0.1
"""Side of a place's cells."""
HEADROOM_M = 2.0
"""Clearance over the floor that people need."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FloorPlan:
    """Cells of a place along its own axes; its floor is at z = 0.

    A cell is filled if it or one of its 26 neighbours contains geometry, so items within the
    others touches nothing.
    """

    corner_m: tuple[float, float]  # least x and y of cell (0, 0)
    filled: Bool  # (X, Y, Z) above the floor
    floor: Bool  # (X, Y) floor in the cell and its eight neighbours
    open_above: bool  # no geometry above the cells

    @functools.cached_property
    def clear_m(self) -> F64:
        """(X, Y) metres from the floor up to the first filled cell; inf if none."""
        height = self.filled.argmax(axis=2) * CELL_M
        top = np.inf if self.open_above else self.filled.shape[2] * CELL_M
        return np.where(self.filled.any(axis=2), height, top)

    @functools.cached_property
    def standing(self) -> Bool:
        """(X, Y) where people may stand."""
        return np.asarray(self.floor & (self.clear_m >= HEADROOM_M))

    def spots_m(self) -> F64:
        """(N, 2) the middles of the cells where people may stand."""
        return np.asarray((np.argwhere(self.standing) + 0.5) * CELL_M + np.array(self.corner_m))

    def has_floor(self, spots_m: F64) -> Bool:
        """(N,) whether there is floor at x, y (N, 2)."""
        cells, inside = self._cells(spots_m, self.floor.shape)
        return np.asarray(inside & self.floor[tuple(cells.T)])

    def free(self, spots_m: F64, top_m: float) -> Bool:
        """(N,) whether the column over x, y (N, 2) is free up to that height (outdoors)."""
        clear = self.clear_m
        cells, inside = self._cells(spots_m, clear.shape)
        return np.asarray(~inside | (clear[tuple(cells.T)] >= top_m))

    def air(self, points_m: F64) -> Bool:
        """(N,) whether points (N, 3) are inside the place's area and in free cells."""
        cells, inside = self._cells(points_m, self.filled.shape)
        over = points_m[:, 2] >= self.filled.shape[2] * CELL_M
        _, across = self._cells(points_m[:, :2], self.floor.shape)
        return np.asarray(inside & ~self.filled[tuple(cells.T)] | (across & over & self.open_above))

    def _cells(self, at_m: F64, shape: tuple[int, ...]) -> tuple[np.ndarray, Bool]:
        """Nearest cells (N, D) of points, and whether points are inside them (N,)."""
        corner = np.zeros(at_m.shape[1])
        corner[:2] = self.corner_m
        exact = np.floor((at_m - corner) / CELL_M).astype(np.int64)
        cells = np.clip(exact, 0, np.array(shape) - 1)
        return cells, np.asarray((cells == exact).all(axis=1))
