"""Estimation of the ground in a photo, on which objects may be placed.

A guess by colour: cells below the horizon similar to those about a person's feet and
connected to them. People in the air or with hidden feet are not used. Conservative:
none from colours that also occur above the horizon (a wall, fog, a stand of
spectators), nor on courts, mown fields and snow, where objects are implausible, nor from
feet on something small (a horse, a board), nor in a photo whose camera looks up or down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from synthstudio.core.photo import GroundCells
from synthstudio.core.scene import F32, U8, Bool
from synthstudio.generation.photos.measure import Floor, Stand
from synthstudio.label.photo import Annotated

_CELLS_HIGH = 72
_MIN_CELLS = 3
_BELOW_M, _BESIDE_M = 0.35, 0.25
"""Margins below the feet and beside the person's box in which the ground is sampled."""
_COVERED = 0.25
_MIN_SPREAD, _MAX_SPREAD = np.array([14.0, 6.0, 6.0]), np.array([18.0, 8.0, 8.0])
"""Of L, a and b in OpenCV's 8-bit Lab: tolerance of ground colour."""
_TIMES = 2.2
_IN_THE_AIR_M = 0.45
_LEVEL = (0.0, 0.7)
"""Shares of the picture's height: range of the horizon of a level camera."""
_ALIKE_ABOVE, _MIN_BELOW = 0.3, 0.1
"""Maximum fraction of similar cells above the horizon, and minimum below."""
_COLOURED, _EVEN, _PAINTED, _SNOW = 12.0, 5.0, 40.0, 195.0
"""In OpenCV's 8-bit Lab: minimum chroma and maximum deviation of lightness of a mown field,
minimum chroma of a court, minimum lightness of snow."""
_UNEVEN = 40.0
"""Maximum deviation of lightness: more means ground and background mixed."""


@dataclass(frozen=True, eq=False)
class _Grid:
    lab: F32  # (h, w, 3) means of cells
    taken: Bool  # (h, w) covered by people
    cell_px: int


def ground_cells(
    rgb: U8, people: Sequence[Annotated], stands: Sequence[Stand], plane: Floor
) -> GroundCells | None:
    """Return the ground cells of a photo (H, W, 3); None without usable feet."""
    grid = _grid(rgb, people)
    share = plane.horizon_px / rgb.shape[0]
    if not _LEVEL[0] <= share <= _LEVEL[1]:
        return None
    horizon = round(plane.horizon_px / grid.cell_px)
    out = np.zeros(grid.taken.shape, np.bool_)
    any_feet = False
    for person, where in zip(people, stands, strict=True):
        airborne = where.foot_px - plane.horizon_px < _IN_THE_AIR_M * where.px_per_m
        if not where.upright or airborne:
            continue
        seeds = _about_feet(grid, person, where)
        if seeds.sum() < _MIN_CELLS or not _is_plain_ground(grid.lab[seeds]):
            continue
        alike, free = _like(grid, seeds), ~grid.taken
        above = alike[:horizon].sum() <= _ALIKE_ABOVE * free[:horizon].sum()
        if above and alike[horizon:].sum() >= _MIN_BELOW * free[horizon:].sum():
            out[horizon:] |= alike[horizon:]
            any_feet = True
    return GroundCells(ground=out, cell_px=grid.cell_px) if any_feet else None


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
    """Return the uncovered cells below and beside a person's feet."""
    beside, below = _BESIDE_M * where.px_per_m, _BELOW_M * where.px_per_m
    top, bottom = where.foot_px - 0.1 * below, where.foot_px + below
    left, right = person.left_px - beside, person.left_px + person.mask.shape[1] + beside
    out = np.zeros(grid.taken.shape, np.bool_)
    ends = np.array([top, bottom, left, right]) / grid.cell_px
    i0, i1, j0, j1 = np.clip(np.rint(ends), 0, 10_000).astype(int)
    out[i0 : max(i1, i0 + 1), j0 : max(j1, j0 + 1)] = True
    return np.asarray(out & ~grid.taken)


def _is_plain_ground(lab: F32) -> bool:
    """Whether cells (N, 3) are similar, and not a mown field, court or snow by colour."""
    light, a, b = np.median(lab, axis=0) - np.array([0.0, 128.0, 128.0])
    chroma, off = np.hypot(a, b), np.abs(lab[:, 0] - light)
    field = chroma >= _COLOURED and 1.4826 * np.median(off) < _EVEN
    return not (field or chroma >= _PAINTED or light >= _SNOW or lab[:, 0].std() > _UNEVEN)


def _like(grid: _Grid, seeds: Bool) -> Bool:
    """Return the cells similar and connected to the seeds."""
    own = grid.lab[seeds]
    middle = np.median(own, axis=0)
    spread = 1.4826 * np.median(np.abs(own - middle), axis=0)
    far = np.abs(grid.lab - middle) / np.clip(spread, _MIN_SPREAD, _MAX_SPREAD)
    alike = (far < _TIMES).all(axis=2)
    joined = np.asarray(alike | grid.taken, np.uint8)  # ground continues behind people
    _, piece = cv2.connectedComponents(joined, connectivity=4)
    known: NDArray[np.int32] = np.unique(piece[seeds & alike])
    return np.asarray(alike & np.isin(piece, known[known > 0]))
