"""The user's places: meshes of rooms, halls and streets in which people stand.

The floor is the lowest level surface over which there is room for people. What else is there is
sampled more finely than cells are (core.place), so that no cell is taken for free that is not.
"""

import dataclasses
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.sparse.csgraph

from synthstudio.core.arrays import F64, U8, Bool
from synthstudio.core.catalogue import CELL_M, HEADROOM_M, FloorPlan
from synthstudio.core.errors import AssetError
from synthstudio.core.scene import Surface
from synthstudio.core.spec import ObjectSpec, PlaceBackdrop
from synthstudio.props.backgrounds import FLOOR_INSTANCE, WALLS_INSTANCE
from synthstudio.props.meshes import MeshData, MeshPart, areas, load_mesh, mesh_surfaces

MIN_FLOOR_M2 = 4.0
GREATEST_M = 60.0
MAX_POINTS = 100_000_000
_LEVEL_M = 0.02
"""Floor may lie so far above or below its level, and what lies higher stands on it."""
_HEIGHT_M = 6.0
_WALL_M = 2.2
_SPACING_M = CELL_M / 2
_BATCH = 1_000_000
_MAX_LEVELS = 16
_FLAT = 0.999
_FLOOR, _LOW, _TALL = range(3)


@dataclass(frozen=True, kw_only=True, eq=False)
class PlaceModel:
    """A mesh, the height of its floor over its lowest point, and where it is free."""

    mesh: MeshData
    level_m: float
    plan: FloorPlan
    kinds: tuple[U8, ...]  # (F,) of each part: which faces are floor, low or tall


def read_place(path: Path) -> PlaceModel:
    """Load a place and find its floor.

    AssetError for a file that is no usable mesh, is larger than `GREATEST_M` (another unit than
    metres, most likely), or has no level floor of `MIN_FLOOR_M2` with room above it.
    """
    mesh = load_mesh(path, greatest_m=GREATEST_M, room_m=HEADROOM_M)
    triangles = [part.vertices_m[part.faces].astype(np.float64) for part in mesh.parts]
    level = [_level(part, at) for part, at in zip(mesh.parts, triangles, strict=True)]
    every = np.concatenate(triangles)
    points = int((_rows(every)[1] + 1).prod(axis=1).sum())
    if points > MAX_POINTS:
        raise AssetError(
            "the place has more surface than can be searched for free air",
            where=str(path),
            expected=f"at most {MAX_POINTS:,} points {_SPACING_M:g} m apart",
            got=f"{points:,}",
            then="Leave out invisible parts, or export a part of it.",
        )
    flats = every[np.concatenate(level)]
    area = areas(flats)
    heights = flats[:, 0, 2]
    maximum, best = 0.0, 0.0
    for height in itertools.islice(_levels(heights, area), _MAX_LEVELS):
        at = np.abs(heights - height) <= _LEVEL_M
        plan = _plan(every, flats[at], height)
        free = float(plan.standing.sum()) * CELL_M**2
        if free >= MIN_FLOOR_M2:
            kinds = tuple(
                _kinds(part, flat, height) for part, flat in zip(mesh.parts, level, strict=True)
            )
            return PlaceModel(mesh=mesh, level_m=height, plan=plan, kinds=kinds)
        maximum, best = max(maximum, free), max(best, float(area[at].sum()))
    found = f"{best:.1f} m² of it, {maximum:.1f} m² with that much air" if best else "none so large"
    raise AssetError(
        "the place has no floor for people",
        where=str(path),
        expected=f"a level surface of {MIN_FLOOR_M2:g} m² with {HEADROOM_M:g} m of air over it",
        got=found,
        then="Export it with its floor, in metres and the right way up: glTF and OBJ have y up.",
    )


def place_surfaces(
    spec: PlaceBackdrop, model: PlaceModel, *, texture_offset: int
) -> tuple[Surface, ...]:
    """The place in the world: its floor is one instance, all else another.

    What is as high as walls throws no shadow, as the walls of drawn rooms throw none.
    """
    obj = ObjectSpec(
        kind="mesh",
        role="scenery",
        size_m=model.mesh.size_m,
        position_m=spec.position_m,
        yaw_rad=spec.yaw_rad,
    )
    made = mesh_surfaces(obj, model.mesh, instance=WALLS_INSTANCE, texture_offset=texture_offset)
    return tuple(
        dataclasses.replace(
            surface,
            name="floor" if kind == _FLOOR else spec.asset.name,
            instance=FLOOR_INSTANCE if kind == _FLOOR else WALLS_INSTANCE,
            faces=surface.faces[kinds == kind],
            casts_shadow=kind == _LOW,
        )
        for surface, kinds in zip(made, model.kinds, strict=True)
        for kind in (_FLOOR, _LOW, _TALL)
        if (kinds == kind).any()
    )


def _kinds(part: MeshPart, level: Bool, height_m: float) -> U8:
    """(F,) which faces are floor, and which of the others are connected to something tall."""
    _, welded = np.unique(part.vertices_m, axis=0, return_inverse=True)
    a, b, c = welded.reshape(-1)[part.faces].T
    pairs = (np.ones(2 * len(a), bool), (np.concatenate([a, b]), np.concatenate([b, c])))
    count = int(welded.max()) + 1
    _, group = scipy.sparse.csgraph.connected_components(
        scipy.sparse.coo_array(pairs, shape=(count, count)), directed=False
    )
    top = np.full(group.max() + 1, -np.inf)
    np.maximum.at(top, group[a], part.vertices_m[part.faces][:, :, 2].max(axis=1))
    kinds = np.where(top[group[a]] - height_m > _WALL_M, _TALL, _LOW).astype(np.uint8)
    at = part.vertices_m[part.faces[:, 0], 2]
    kinds[level & (np.abs(at - height_m) <= _LEVEL_M)] = _FLOOR
    return kinds


def _level(part: MeshPart, triangles: F64) -> Bool:
    """(F,) which triangles (F, 3, 3) are level, and face up where that is known."""
    across = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    length = np.linalg.norm(across, axis=1)
    up = across[:, 2] / np.where(length > 0, length, 1.0)
    flat = (np.abs(up) if part.two_sided else up) >= _FLAT
    return np.asarray(flat & (np.ptp(triangles[:, :, 2], axis=1) <= _LEVEL_M))


def _levels(heights: F64, area: F64) -> Iterator[float]:
    """Yield heights with enough level surface, from below; the middle of each by area."""
    bins = np.round((heights - heights.min(initial=0.0)) / _LEVEL_M).astype(np.int64)
    each = np.bincount(bins, weights=area, minlength=1)
    around = np.convolve(each, np.ones(3), mode="same") if len(each) > 2 else each
    for found in np.flatnonzero((each > 0) & (around >= MIN_FLOOR_M2)):
        near = np.abs(bins - found) <= 1
        middle = float(np.average(heights[near], weights=area[near]))
        if area[np.abs(heights - middle) <= _LEVEL_M].sum() >= MIN_FLOOR_M2:
            yield middle


def _plan(every: F64, floor: F64, height_m: float) -> FloorPlan:
    """Cells about a floor at that height."""
    low, high = every.min(axis=(0, 1)), every.max(axis=(0, 1))
    corner = (float(low[0]) - CELL_M, float(low[1]) - CELL_M)
    across = np.ceil((high[:2] - low[:2]) / CELL_M).astype(int) + 3
    tall = max(HEADROOM_M + 1.0, min(float(high[2]) - height_m, _HEIGHT_M))
    filled = np.zeros((*across, math.ceil(tall / CELL_M) + 2), bool)
    origin = np.array([*corner, height_m])
    for points in _samples(every):
        kept = points[(points[:, 2] > height_m + _LEVEL_M)] - origin
        cells = np.floor(kept / CELL_M).astype(int)
        cells = cells[cells[:, 2] < filled.shape[2]]
        filled[tuple(cells.T)] = True
    ground = np.zeros(across, bool)
    for points in _samples(floor):
        ground[tuple(np.floor((points[:, :2] - origin[:2]) / CELL_M).astype(int).T)] = True
    return FloorPlan(
        corner_m=corner,
        filled=scipy.ndimage.binary_dilation(filled, np.ones((3, 3, 3), bool)),
        floor=scipy.ndimage.binary_erosion(ground, np.ones((3, 3), bool)),
        open_above=float(high[2]) - height_m <= tall,
    )


def _samples(triangles: F64) -> Iterator[F64]:
    """Yield points (N, 3) on triangles (F, 3, 3): none of a triangle is a cell from the next.

    They are in rows along the longest side; rows and points lie `_SPACING_M` apart at the most.
    """
    rotated, steps = _rows(triangles)
    for across, along in np.unique(steps, axis=0).tolist():
        t, u = (
            grid.ravel()
            for grid in np.meshgrid(*(np.linspace(0, 1, n + 1) for n in (across, along)))
        )
        weights = np.column_stack([(1 - t) * (1 - u), (1 - t) * u, t])
        these = rotated[(steps == (across, along)).all(axis=1)]
        each = max(1, _BATCH // len(weights))
        for start in range(0, len(these), each):
            yield np.einsum("sk,fkd->fsd", weights, these[start : start + each]).reshape(-1, 3)


def _rows(triangles: F64) -> tuple[F64, np.ndarray]:
    """Triangles with the longest side between the first two corners, and steps (F, 2): how many
    from that side to the third corner and along it, powers of two."""
    sides = np.linalg.norm(np.roll(triangles, -1, axis=1) - triangles, axis=2)
    order = (sides.argmax(axis=1)[:, None] + np.arange(3)) % 3
    rotated = np.take_along_axis(triangles, order[:, :, None], axis=1)
    longest = np.maximum(sides.max(axis=1), 1e-9)
    extents = np.column_stack([2 * areas(triangles) / longest, longest])
    return rotated, (2 ** np.ceil(np.log2(np.maximum(extents / _SPACING_M, 1)))).astype(np.int64)
