"""A place of the user's as people stand in it: its floor, and the air that is free over it."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from synthstudio.core.scene import F64, Bool

CELL_M = 0.1
"""Side of the cells that a place is divided into."""
HEADROOM_M = 2.0
"""Where so much air is free over the floor, people may stand."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FloorPlan:
    """Cells of a place along its own axes; its floor is at z = 0.

    A cell is filled where something is in it or in one of the 26 about it, so what keeps to the
    others touches nothing.
    """

    corner_m: tuple[float, float]  # least x and y of cell (0, 0)
    filled: Bool  # (X, Y, Z) above the floor
    floor: Bool  # (X, Y) there is floor in it and in the eight about it
    open_above: bool  # nothing is over the cells

    @functools.cached_property
    def clear_m(self) -> F64:
        """(X, Y) metres from the floor up to the first filled cell; inf where none is."""
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
        """(N,) whether nothing is over x, y (N, 2) up to that height; so it is outside."""
        clear = self.clear_m
        cells, inside = self._cells(spots_m, clear.shape)
        return np.asarray(~inside | (clear[tuple(cells.T)] >= top_m))

    def air(self, points_m: F64) -> Bool:
        """(N,) whether points (N, 3) are over the place's area and in no filled cell."""
        cells, inside = self._cells(points_m, self.filled.shape)
        over = points_m[:, 2] >= self.filled.shape[2] * CELL_M
        _, across = self._cells(points_m[:, :2], self.floor.shape)
        return np.asarray(inside & ~self.filled[tuple(cells.T)] | (across & over & self.open_above))

    def _cells(self, at_m: F64, shape: tuple[int, ...]) -> tuple[np.ndarray, Bool]:
        """Cells (N, D) of points, the nearest there is, and whether they are in them (N,)."""
        corner = np.zeros(at_m.shape[1])
        corner[:2] = self.corner_m
        exact = np.floor((at_m - corner) / CELL_M).astype(np.int64)
        cells = np.clip(exact, 0, np.array(shape) - 1)
        return cells, np.asarray((cells == exact).all(axis=1))
