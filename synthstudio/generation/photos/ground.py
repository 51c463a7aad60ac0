"""What of a photo looks like the ground on which its people stand: where things may stand too.

A guess by colour: cells of the photo that look like those about somebody's feet, and hang
together with them. Who is in the air, or whose feet are hidden, tells nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.photo import GroundCells
from synthstudio.core.scene import F32, U8, Bool
from synthstudio.generation.photos.measure import FEET_SEEN, Floor, Stand
from synthstudio.label.photo import Annotated

_CELLS_HIGH = 72
_LEAST_CELLS = 3
_BELOW_M, _BESIDE_M = 0.35, 0.5
"""So far below the feet, and beside the person's box, the ground is looked at."""
_COVERED = 0.25
_LEAST_SPREAD = np.array([14.0, 6.0, 6.0])
"""Of L, a and b in OpenCV's 8-bit Lab: ground differs at least so much from place to place."""
_TIMES = 2.2
_IN_THE_AIR_M = 0.45


@dataclass(frozen=True, eq=False)
class _Grid:
    lab: F32  # (h, w, 3) means of cells
    taken: Bool  # (h, w) covered by people
    cell_px: int


def ground_cells(
    rgb: U8, people: Sequence[Annotated], stands: Sequence[Stand], plane: Floor
) -> GroundCells | None:
    """Return which cells of a photo (H, W, 3) are such ground; None where nobody tells."""
    grid = _grid(rgb, people)
    out = np.zeros(grid.taken.shape, np.bool_)
    told = False
    for person, where in zip(people, stands, strict=True):
        airborne = where.foot_px - plane.horizon_px < _IN_THE_AIR_M * where.px_per_m
        if where.sure < FEET_SEEN or airborne:
            continue
        seeds = _about_feet(grid, person, where)
        if seeds.sum() < _LEAST_CELLS:
            continue
        out |= _like(grid, seeds)
        told = True
    return GroundCells(ground=out, cell_px=grid.cell_px) if told else None


def _grid(rgb: U8, people: Sequence[Annotated]) -> _Grid:
    height, width = rgb.shape[:2]
    cell = max(1, round(height / _CELLS_HIGH))
    size = (max(1, width // cell), max(1, height // cell))
    part = rgb[: size[1] * cell, : size[0] * cell]
    lab = cv2.cvtColor(cv2.resize(part, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2LAB)
    whole = np.zeros((height, width), np.float32)
    for person in people:
        rows, columns = person.mask.shape
        window = whole[person.top_px : person.top_px + rows, person.left_px :][:, :columns]
        np.maximum(window, person.mask, out=window)
    taken = cv2.resize(
        whole[: size[1] * cell, : size[0] * cell], size, interpolation=cv2.INTER_AREA
    )
    return _Grid(np.asarray(lab, np.float32), np.asarray(taken > _COVERED), cell)


def _about_feet(grid: _Grid, person: Annotated, where: Stand) -> Bool:
    """Return the cells below and beside somebody's feet that nobody covers."""
    beside, below = _BESIDE_M * where.px_per_m, _BELOW_M * where.px_per_m
    top, bottom = where.foot_px - 0.1 * below, where.foot_px + below
    left, right = person.left_px - beside, person.left_px + person.mask.shape[1] + beside
    out = np.zeros(grid.taken.shape, np.bool_)
    ends = np.array([top, bottom, left, right]) / grid.cell_px
    i0, i1, j0, j1 = np.clip(np.rint(ends), 0, 10_000).astype(int)
    out[i0 : max(i1, i0 + 1), j0 : max(j1, j0 + 1)] = True
    return np.asarray(out & ~grid.taken)


def _like(grid: _Grid, seeds: Bool) -> Bool:
    """Return the cells that look like the seeds and hang together with them."""
    own = grid.lab[seeds]
    middle = np.median(own, axis=0)
    spread = 1.4826 * np.median(np.abs(own - middle), axis=0)
    far = np.abs(grid.lab - middle) / np.maximum(spread, _LEAST_SPREAD)
    alike = (far < _TIMES).all(axis=2)
    joined = np.asarray(alike | grid.taken, np.uint8)  # ground goes on behind people
    _, piece = cv2.connectedComponents(joined, connectivity=4)
    known: NDArray[np.int32] = np.unique(piece[seeds & alike])
    return np.asarray(alike & np.isin(piece, known[known > 0]))
