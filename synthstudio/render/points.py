"""Exact visibility of single points: an irregular z-buffer.

Each triangle tests the projected positions of the points themselves, not pixel centres, so the
answer does not depend on the resolution (Johnson et al. 2005, "The irregular Z-buffer").

The rules, which `rays.py` implements independently: the blocker is the nearest surface
on the segment from the near plane to the point. All faces take part, drawn or not and from both
sides, but for own faces that cover the point's part. An own surface must be more than 3 mm
nearer along z than the point (its own skin lies at its own depth); any other, just nearer.
"""

# mypy: disable-error-code="index,operator,no-untyped-def,arg-type,misc,call-overload,assignment"
# (Warp compiles the kernel from its source; its types are not Python's.)

from dataclasses import dataclass
from typing import Any

import numpy as np
import warp as wp

from synthstudio.core.arrays import F32, F64, I32, I64, U8, Bool
from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.visibility import SELF_TOLERANCE_M
from synthstudio.render.kernels.fill import Mesh
from synthstudio.render.pack import SUBPIXELS, Packed, to_device, to_host
from synthstudio.render.raster import CPU_RUN, NOTHING, mesh_of

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

CELL_BITS = 8
"""Cells are 2^8 / 256 = 1 px wide."""
MAX_CELLS = 2**18
"""Over a larger area cells are wider."""
BLOCK = 4
"""A face on at most 4 x 4 cells is dropped by one look at the farthest point in them."""
FARTHEST = 2**30
"""Screen coordinates in 1/256 px are clipped to this; pack refuses surfaces beyond."""
CUDA_BANDS = 16
"""On CUDA the rows of cells under a triangle are shared among this many threads."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Blockers:
    """The nearest blocker of each of Q points."""

    instance: I32  # (Q,) 0 nothing
    depth_m: F32  # (Q,) z in camera metres; inf nothing


@wp.struct
class Grid:
    """Square cells over the screen; what lies outside belongs to the nearest border cell."""

    left: wp.int32  # 1/256 px
    top: wp.int32
    bits: wp.int32
    columns: wp.int32
    rows: wp.int32
    start: wp.array[wp.int32]  # (rows columns + 1,) first point of each cell
    farthest: wp.array[wp.float32]  # (rows columns,) z of the points from a cell on, BLOCK each way


@wp.struct
class Points:
    """Q points in the order of their cells."""

    screen: wp.array[wp.vec2i]  # 1/256 px, rounded down
    ray: wp.array[wp.vec3]  # x / z, y / z, z
    owner: wp.array[wp.int32]
    part: wp.array[wp.uint32]  # the part's bit


@wp.struct
class Query:
    lens: wp.vec3d  # focal, cx, cy
    near: wp.float64
    tolerance: wp.float32


@wp.func
def _place(camera: wp.float64, z: wp.float64, focal: wp.float64, centre: wp.float64):
    """A screen coordinate in 1/256 px."""
    limit = wp.float64(FARTHEST)
    return wp.clamp((focal * camera / z + centre) * wp.float64(256.0), -limit, limit)


@wp.func
def _wider(box: wp.vec4i, x: wp.float64, y: wp.float64, z: wp.float64, lens: wp.vec3d):
    """Widen (x0, y0, x1, y1) by a camera point, rounded outwards by at least 1/256 px."""
    sx, sy = wp.int32(_place(x, z, lens[0], lens[1])), wp.int32(_place(y, z, lens[0], lens[2]))
    return wp.vec4i(
        wp.min(box[0], sx - 2),
        wp.min(box[1], sy - 2),
        wp.max(box[2], sx + 2),
        wp.max(box[3], sy + 2),
    )


@wp.func
def _clipped_box(box: wp.vec4i, p: wp.vec3, q: wp.vec3, lens: wp.vec3d, near: wp.float64):
    """Widen a box by p if it is in front and by where the edge p q meets the near plane."""
    px, py, pz = wp.float64(p[0]), wp.float64(p[1]), wp.float64(p[2])
    qz = wp.float64(q[2])
    if pz >= near:
        box = _wider(box, px, py, pz, lens)
    if (pz >= near) != (qz >= near):
        t = (near - pz) / (qz - pz)
        x, y = px + t * (wp.float64(q[0]) - px), py + t * (wp.float64(q[1]) - py)
        box = _wider(box, x, y, near, lens)
    return box


@wp.func
def _screen_box(mesh: Mesh, face: wp.vec3i, lens: wp.vec3d, near: wp.float64):
    """The box of what a face shows; a little wide, so no rounding loses a point in it."""
    a, b, c = mesh.points[face[0]], mesh.points[face[1]], mesh.points[face[2]]
    if wp.float64(wp.min(a[2], wp.min(b[2], c[2]))) >= near:
        sa, sb, sc = mesh.snapped[face[0]], mesh.snapped[face[1]], mesh.snapped[face[2]]
        low, high = wp.min(sa, wp.min(sb, sc)), wp.max(sa, wp.max(sb, sc))
        return wp.vec4i(low[0] - 2, low[1] - 2, high[0] + 2, high[1] + 2)
    far = wp.int32(FARTHEST)
    box = wp.vec4i(far, far, -far, -far)
    box = _clipped_box(box, a, b, lens, near)
    box = _clipped_box(box, b, c, lens, near)
    return _clipped_box(box, c, a, lens, near)


@wp.func
def _meets(r: wp.vec3, a: wp.vec3, b: wp.vec3, c: wp.vec3):
    """z where the ray meets the triangle a, b, c; inf where it does not."""
    # Edges relative to the ray: equal and opposite for the two faces of an edge, so with both
    # signs and zero let in no ray slips between them.
    ax, ay = a[0] - r[0] * a[2], a[1] - r[1] * a[2]
    bx, by = b[0] - r[0] * b[2], b[1] - r[1] * b[2]
    cx, cy = c[0] - r[0] * c[2], c[1] - r[1] * c[2]
    u = bx * cy - by * cx
    v = cx * ay - cy * ax
    w = ax * by - ay * bx
    total = u + v + w
    low, high = wp.min(u, wp.min(v, w)), wp.max(u, wp.max(v, w))
    if (low >= 0.0 or high <= 0.0) and total != 0.0:
        return (u * a[2] + v * b[2] + w * c[2]) / total
    return wp.inf


@wp.func
def _test(
    mesh: Mesh,
    points: Points,
    grid: Grid,
    query: Query,
    t: wp.int32,
    band: wp.int32,
    bands: wp.int32,
    keys: wp.array[wp.uint64],
):
    """Write a face's key to the points that it hides."""
    f = mesh.faces[t]
    a, b, c = mesh.points[f[0]], mesh.points[f[1]], mesh.points[f[2]]
    nearest = wp.min(a[2], wp.min(b[2], c[2]))
    if wp.float64(wp.max(a[2], wp.max(b[2], c[2]))) < query.near:
        return
    box = _screen_box(mesh, f, query.lens, query.near)
    first = wp.clamp((box[0] - grid.left) >> grid.bits, 0, grid.columns - 1)
    last = wp.clamp((box[2] - grid.left) >> grid.bits, 0, grid.columns - 1)
    row = wp.clamp((box[1] - grid.top) >> grid.bits, 0, grid.rows - 1) + band
    bottom = wp.clamp((box[3] - grid.top) >> grid.bits, 0, grid.rows - 1)
    if last - first < BLOCK and bottom - row < BLOCK and row <= bottom:
        if nearest >= grid.farthest[row * grid.columns + first]:
            return
    instance, covers = mesh.instance[t], mesh.covers[t]
    while row <= bottom:
        q = grid.start[row * grid.columns + first]
        end = grid.start[row * grid.columns + last + 1]
        while q < end:
            at = points.screen[q]
            if at[0] >= box[0] and at[0] <= box[2] and at[1] >= box[1] and at[1] <= box[3]:
                r = points.ray[q]
                own = instance == points.owner[q]
                limit = r[2] - wp.where(own, query.tolerance, 0.0)
                if nearest < limit and not (own and (covers & points.part[q]) != wp.uint32(0)):
                    z = _meets(r, a, b, c)
                    if z < limit and wp.float64(z) >= query.near:
                        key = (wp.uint64(wp.cast(z, wp.uint32)) << wp.uint64(32)) | wp.uint64(t)
                        wp.atomic_min(keys, q, key)
            q += 1
        row += bands


@wp.kernel
def points_kernel(
    mesh: Mesh,
    points: Points,
    grid: Grid,
    query: Query,
    faces: wp.int32,
    run: wp.int32,
    bands: wp.int32,
    keys: wp.array[wp.uint64],
):
    """Write the nearest blocker of each point; dim (runs of `run` faces, bands)."""
    i, band = wp.tid()
    t = i * run
    end = wp.min(t + run, faces)
    while t < end:
        _test(mesh, points, grid, query, t, band, bands, keys)
        t += 1


def nearest_blockers(
    packed: Packed,
    points_m: F64,  # (Q, 3) world
    owner: I32,  # (Q,) instance of the person each point belongs to
    part: U8,  # (Q,) the body part each point lies on
    needed: Bool | None = None,  # (Q,) which to answer; None: all
) -> Blockers:
    """The blocker of each point; see the top of this file for the rules.

    Points outside the frame are answered like any other. Points before the near plane and
    those not needed get nothing (0, inf).
    """
    camera = packed.scene.camera
    camera_m = camera.to_camera(points_m)
    selected = camera_m[:, 2] >= NEAR_M
    if needed is not None:
        selected &= needed
    chosen = np.flatnonzero(selected)
    instance = np.zeros(len(selected), np.int32)
    depth_m = np.full(len(selected), np.inf, np.float32)
    if len(chosen) == 0 or len(packed.host_faces) == 0:
        return Blockers(instance=instance, depth_m=depth_m)
    places = np.floor(camera.project(camera_m[chosen]) * SUBPIXELS)
    places = np.clip(places, -FARTHEST, FARTHEST).astype(np.int32)
    grid, order = _sorted(places, camera_m[chosen, 2], camera, packed.device)
    chosen = chosen[order]
    query: Any = Query()
    query.lens = wp.vec3d(camera.K[0, 0], camera.K[0, 2], camera.K[1, 2])
    query.near, query.tolerance = NEAR_M, SELF_TOLERANCE_M
    keys = wp.full(len(chosen), NOTHING, dtype=wp.uint64, device=packed.device)
    run, bands = (CPU_RUN, 1) if packed.device == "cpu" else (1, CUDA_BANDS)
    faces = len(packed.host_faces)
    wp.launch(
        points_kernel,
        dim=(-(-faces // run), bands),
        inputs=[
            mesh_of(packed),
            _points(places[order], camera_m[chosen], owner[chosen], part[chosen], packed.device),
            grid,
            query,
            faces,
            run,
            bands,
        ],
        outputs=[keys],
        device=packed.device,
    )
    found = to_host(keys).view(np.uint32).reshape(-1, 2)
    triangle = found[:, 0].view(np.int32)
    instance[chosen] = np.where(triangle >= 0, packed.host_instance[triangle], np.int32(0))
    depth_m[chosen] = np.ascontiguousarray(found[:, 1]).view(np.float32)
    return Blockers(instance=instance, depth_m=depth_m)


def _sorted(places: I32, depth_m: F64, camera: Camera, device: str) -> tuple[Any, I64]:
    """A Grid over the points (Q, 2), in 1/256 px, and the order that sorts them by cell.

    Only the frame and as much again around it has cells: beyond, border cells take all.
    """
    size = np.array([camera.width_px, camera.height_px]) * SUBPIXELS
    low = np.clip(places.min(axis=0), -size, 2 * size)
    high = np.clip(places.max(axis=0), -size, 2 * size)
    bits = CELL_BITS
    while np.prod(((high - low) >> bits) + 1) > MAX_CELLS:
        bits += 1
    columns, rows = ((high - low) >> bits) + 1
    cells = np.clip((places - low) >> bits, 0, (columns - 1, rows - 1))
    flat = cells[:, 1] * columns + cells[:, 0]
    order = np.argsort(flat, kind="stable")
    start = np.zeros(columns * rows + 1, np.int32)
    np.cumsum(np.bincount(flat, minlength=columns * rows), out=start[1:])
    grid: Any = Grid()
    grid.left, grid.top = low
    grid.bits, grid.columns, grid.rows = bits, columns, rows
    grid.start = to_device(start, wp.int32, device)
    used = np.flatnonzero(start[1:] > start[:-1])
    farthest = np.zeros((rows, columns), np.float32)
    farthest.ravel()[used] = np.maximum.reduceat(depth_m[order], start[used])
    for step in (1, 2):  # the greatest of 2, then of 4 cells
        np.maximum(farthest[:-step], farthest[step:], out=farthest[:-step])
        np.maximum(farthest[:, :-step], farthest[:, step:], out=farthest[:, :-step])
    grid.farthest = to_device(farthest.ravel(), wp.float32, device)
    return grid, order


def _points(places: I32, camera_m: F64, owner: I32, part: U8, device: str) -> Any:
    rays = np.empty_like(camera_m, np.float32)
    rays[:, :2] = camera_m[:, :2] / camera_m[:, 2:]
    rays[:, 2] = camera_m[:, 2]
    points: Any = Points()
    points.screen = to_device(places, wp.vec2i, device)
    points.ray = to_device(rays, wp.vec3, device)
    points.owner = to_device(owner.astype(np.int32), wp.int32, device)
    # A part of 32 or more (NO_PART) is covered by nothing.
    bits = np.where(part < 32, np.uint32(1) << (part & 31).astype(np.uint32), np.uint32(0))
    points.part = to_device(bits.astype(np.uint32), wp.uint32, device)
    return points
