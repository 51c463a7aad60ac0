"""The exact rasteriser: the nearest triangle at each pixel centre, and maps made from it.

One thread takes one triangle and writes `depth bits << 32 | triangle` with an atomic minimum:
the result does not depend on the order of threads, and of two triangles at one depth the lower
number wins. `kernels/fill.py` has the kernels, `tests/render/reference.py` a slow twin that tests
hold equal. Also how far a person reaches beyond the frame.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import warp as wp

from synthstudio.core.arrays import F32, F64, I32, I64, U8, U32, Bool
from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.errors import GeometryError
from synthstudio.core.masks import mask_edges
from synthstudio.core.scene import NO_PART
from synthstudio.render.kernels import vertices
from synthstudio.render.kernels.fill import Mesh, View, extent_kernel, raster_kernel
from synthstudio.render.pack import REACH_PX, SUBPIXELS, Packed, to_device, to_host

NOTHING = (0x7F800000 << 32) | 0xFFFFFFFF
"""The key of an uncovered pixel: depth inf, triangle -1."""
CUDA_BANDS = 32
"""On CUDA the rows of a large triangle are shared among this many threads."""
CPU_RUN = 512
"""On the CPU a thread takes this many faces one after another: starting one costs a face."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VisibilityBuffer:
    """The nearest triangle and its depth at every sample centre, (scale H, scale W)."""

    keys: wp.array[Any]  # (H, W) uint64: depth bits << 32 | triangle
    scale: int = 1

    @cached_property
    def _host(self) -> U32:
        """(H, W, 2): triangle, depth bits. Warp's platforms are all little-endian."""
        keys = to_host(self.keys)
        return keys.view(np.uint32).reshape(*keys.shape, 2)

    @cached_property
    def triangle(self) -> I32:
        """(H, W) the place in Packed.faces, -1 where nothing is."""
        return self._host[..., 0].astype(np.int32)

    @cached_property
    def depth_m(self) -> F32:
        """(H, W) z in camera metres, inf where nothing is."""
        return np.ascontiguousarray(self._host[..., 1]).view(np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class AmodalRender:
    """One instance drawn alone, in a window that contains it.

    `inside`: no vertex of it lies outside the frame or before the near plane.
    """

    keys: wp.array[Any]  # (h, w) as in VisibilityBuffer
    left_px: int
    top_px: int
    inside: bool

    @cached_property
    def covered(self) -> Bool:
        """(h, w) where the window shows it."""
        return np.asarray(to_host(self.keys) != NOTHING)

    @cached_property
    def depth_m(self) -> F32:
        """(n,) z in camera metres at the covered pixels."""
        bits = to_host(self.keys)[self.covered] >> np.uint64(32)
        return bits.astype(np.uint32).view(np.float32)

    @property
    def box_px(self) -> tuple[int, int, int, int]:
        """(x0, y0, x1, y1), the edges of the covered pixels; zeros if none."""
        x0, y0, x1, y1 = mask_edges(self.covered)
        x, y = (self.left_px, self.top_px) if x1 else (0, 0)
        return x + x0, y + y0, x + x1, y + y1

    def mask(self, shape: tuple[int, int]) -> Bool:
        """(H, W) where the frame shows it."""
        mask = np.zeros(shape, np.bool_)
        h, w = self.covered.shape
        mask[self.top_px : self.top_px + h, self.left_px : self.left_px + w] = self.covered
        return mask


def rasterise(packed: Packed, *, scale: int = 1) -> VisibilityBuffer:
    """The nearest drawn triangle at every sample centre of the frame.

    `scale` s gives (s H, s W) samples; geometry is snapped at scale 1, so it is the same at
    every scale. GeometryError when the scene's reach times `scale` leaves the exact range.
    """
    if packed.reach_px * scale >= REACH_PX:
        raise GeometryError(
            "the scene reaches too far beyond the frame for this supersampling",
            where="render",
            expected=f"screen coordinates times {scale} below {REACH_PX} px",
            got=f"{packed.reach_px:.0f} px",
            then="Render at scale 1, or bring the mesh nearer to the frame.",
        )
    camera = packed.scene.camera
    shape = camera.height_px * scale, camera.width_px * scale
    if scale == 1:
        return VisibilityBuffer(keys=_merged(packed, shape))
    view, faces = view_of(packed, None, scale=scale), (0, len(packed.host_faces))
    return VisibilityBuffer(keys=_draw(packed, view, faces, shape), scale=scale)


def alone(packed: Packed, instance: int) -> AmodalRender:
    """The instance's drawn faces rasterised alone; cached for the scene."""
    known: AmodalRender | None = packed.alone.get(instance)
    if known is not None:
        return known
    camera = packed.scene.camera
    size = np.array([camera.width_px, camera.height_px])
    low, high, inside = np.zeros(2, np.int64), size, False
    screen = packed.screen_box(instance)
    if screen is not None:
        inside = bool((screen[0] >= 0).all() and (screen[1] <= size * SUBPIXELS).all())
        low = np.clip(screen[0] // SUBPIXELS, 0, size - 1)
        high = np.clip(screen[1] // SUBPIXELS + 1, low + 1, size)
    view = view_of(packed, instance, scale=1)
    view.left, view.top = (int(v) for v in low)
    w, h = (int(v) for v in high - low)
    keys = _draw(packed, view, packed.face_range(instance), (h, w))
    made = AmodalRender(keys=keys, left_px=view.left, top_px=view.top, inside=inside)
    packed.alone[instance] = made
    return made


def _merged(packed: Packed, shape: tuple[int, int]) -> wp.array[Any]:
    """(H, W) keys of all drawn faces: objects, and over them each person drawn alone.

    The least key wins in any order, so parts drawn separately may be merged; and labels
    need each person alone anyway.
    """
    people = [s for person in packed.scene.people for s in person.surfaces]
    objects = int(packed.face_start[len(people)]), len(packed.host_faces)
    keys = _draw(packed, view_of(packed, None, scale=1), objects, shape)
    for instance in dict.fromkeys(s.instance for s in people):
        own = alone(packed, instance)
        wp.launch(
            vertices.merge_kernel,
            dim=(own.keys.shape[0], -(-own.keys.shape[1] // vertices.RUN)),
            inputs=[own.keys, own.left_px, own.top_px],
            outputs=[keys],
            device=packed.device,
        )
    return keys


def rasterise_projected(
    packed: Packed,
    *,
    drawn: wp.array[wp.bool],
    points: wp.array[wp.vec3],
    snapped: wp.array[wp.vec2i],
    size: int,
) -> wp.array[Any]:
    """(size, size) keys of the faces `drawn` (F,) under another, orthographic projection.

    `points` (V,): only z is read, a depth above 0; `snapped` (V,): x, y in 1/256 px, below
    2^30. Depth is linear over a triangle, there is no near plane and both sides are drawn:
    what a shadow map wants. The caller keeps coordinates in range and depths positive.
    """
    view: Any = View()
    view.scale, view.perspective = 1, False
    mesh = mesh_of(packed)
    mesh.drawn, mesh.points, mesh.snapped = drawn, points, snapped
    return _draw(packed, view, (0, len(packed.host_faces)), (size, size), mesh=mesh)


def instance_map(packed: Packed, buffer: VisibilityBuffer) -> I32:
    """(H, W) instance ids, 0 where nothing is."""
    return np.append(packed.host_instance, np.int32(0))[buffer.triangle]


def surface_map(packed: Packed, buffer: VisibilityBuffer) -> I32:
    """(H, W) places in Scene.surfaces, -1 where nothing is."""
    return np.append(packed.host_surface, np.int32(-1))[buffer.triangle]


def part_map(packed: Packed, buffer: VisibilityBuffer) -> U8:
    """(H, W) PARTS ids on bare skin, NO_PART elsewhere."""
    return np.append(packed.host_part, np.uint8(NO_PART))[buffer.triangle]


def normal_map(packed: Packed, buffer: VisibilityBuffer) -> F32:
    """(H, W, 3) unit normals in camera axes that face the camera; 0 where nothing is.

    Those of the light: smooth, or the face's own where the surface is flat.
    """
    height, width = buffer.keys.shape
    out = wp.zeros((height, width), dtype=wp.vec3, device=packed.device)
    flat = np.array([s.flat for s in packed.surfaces], np.bool_)[packed.host_surface]
    camera, s = packed.scene.camera, buffer.scale
    wp.launch(
        vertices.normal_map_kernel,
        dim=(height, -(-width // vertices.RUN)),
        inputs=[
            buffer.keys,
            packed.faces,
            packed.camera_m,
            packed.normals,
            to_device(flat, wp.bool, packed.device),
            wp.mat33(*camera.world_to_camera[:3, :3].ravel()),
            wp.vec3(camera.focal_px * s, camera.K[0, 2] * s, camera.K[1, 2] * s),
        ],
        outputs=[out],
        device=packed.device,
    )
    return to_host(out)


def mesh_of(packed: Packed) -> Any:
    mesh: Any = Mesh()
    mesh.faces, mesh.points, mesh.snapped = packed.faces, packed.camera_m, packed.snapped
    mesh.instance, mesh.covers = packed.instance, packed.covers
    mesh.drawn, mesh.cull = packed.drawn, packed.cull
    return mesh


def view_of(packed: Packed, only_instance: int | None, *, scale: int) -> Any:
    """The fill.View of the scene's camera: drawn faces, of one instance or (None) all."""
    view: Any = View()
    k = packed.scene.camera.K
    view.focal, view.cx, view.cy, view.near = k[0, 0], k[0, 2], k[1, 2], NEAR_M
    view.scale, view.perspective, view.culling = scale, True, True
    view.only = only_instance or 0
    return view


def _draw(
    packed: Packed, view: Any, faces: tuple[int, int], shape: tuple[int, int], *, mesh: Any = None
) -> wp.array[Any]:
    keys = wp.full(shape, NOTHING, dtype=wp.uint64, device=packed.device)
    first, last = faces
    run, bands = (CPU_RUN, 1) if packed.device == "cpu" else (1, CUDA_BANDS)
    wp.launch(
        raster_kernel,
        dim=(-(-(last - first) // run), bands),
        inputs=[mesh or mesh_of(packed), view, first, last, run, bands],
        outputs=[keys],
        device=packed.device,
    )
    return keys


def amodal_extent_px(packed: Packed, instance: int) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1), pixel edges of the instance's mask on an endless canvas.

    Inside the frame it is the extent of the mask itself; it may leave the frame. Four
    zeros when no pixel centre anywhere is covered, as when all is before the near plane.
    """
    own = alone(packed, instance)
    if own.inside:
        return own.box_px
    unset = np.array([2**30, 2**30, -(2**30), -(2**30)], np.int32)
    extent = to_device(unset, wp.int32, packed.device)
    first, last = packed.face_range(instance)
    wp.launch(
        extent_kernel,
        dim=last - first,
        inputs=[mesh_of(packed), view_of(packed, instance, scale=1), first],
        outputs=[extent],
        device=packed.device,
    )
    x0, y0, x1, y1 = (int(v) for v in to_host(extent))
    return (x0, y0, x1, y1) if x0 < x1 else (0, 0, 0, 0)


def outside_share(packed: Packed, instance: int) -> float:
    """The fraction of the instance's camera-facing surface outside the frame.

    Over its drawn faces, the sum of world area x max(0, cosine of the angle between the normal
    and the way to the camera) outside the frame or before the near plane, divided by the sum
    of all. Faces on the border are cut exactly. 0 when no face looks at the camera.
    """
    if alone(packed, instance).inside:
        return 0.0
    first, last = packed.face_range(instance)
    planes = _frustum(packed.scene.camera)
    weight, side = np.zeros(last - first), np.zeros(last - first, np.int32)
    wp.launch(
        vertices.facing_kernel,
        dim=last - first,
        inputs=[
            to_device(packed.host_camera_m, wp.vec3, "cpu"),
            to_device(packed.host_faces, wp.vec3i, "cpu"),
            to_device(planes, wp.vec4d, "cpu"),
            first,
        ],
        outputs=[to_device(weight, wp.float64, "cpu"), to_device(side, wp.int32, "cpu")],
        device="cpu",
    )
    own = (packed.host_instance[first:last] == instance) & packed.host_drawn[first:last]
    weight[~own] = 0.0
    total = float(weight.sum())
    if total == 0.0:
        return 0.0
    lost = float(weight[side == vertices.OUTSIDE].sum())
    cut = np.flatnonzero((side == vertices.CUT) & (weight > 0))
    if len(cut):
        corners = packed.host_camera_m[packed.host_faces[first + cut]].astype(np.float64)
        lost += float((weight[cut] * (1.0 - _kept(corners, planes))).sum())
    return min(max(lost / total, 0.0), 1.0)


def _frustum(camera: Camera) -> F64:
    """(5, 4) planes (n, d): n . p + d >= 0 for the camera points that the frame shows."""
    f, cx, cy = camera.focal_px, camera.K[0, 2], camera.K[1, 2]
    return np.array(
        [
            [0, 0, 1, -NEAR_M],
            [f, 0, cx, 0],
            [-f, 0, camera.width_px - cx, 0],
            [0, f, cy, 0],
            [0, -f, camera.height_px - cy, 0],
        ]
    )


def _kept(corners: F64, planes: F64) -> F64:
    pieces, owner = corners, np.arange(len(corners))
    for plane in planes:
        pieces, owner = _cut(pieces, owner, plane)
    inside = np.bincount(owner, weights=_areas(pieces), minlength=len(corners))
    return np.asarray(np.minimum(inside / _areas(corners), 1.0))


def _areas(corners: F64) -> F64:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.sqrt((normals**2).sum(axis=1)) / 2)


def _cut(corners: F64, owner: I64, plane: F64) -> tuple[F64, I64]:
    distance = corners @ plane[:3] + plane[3]
    inside = distance >= 0
    count = inside.sum(axis=1)
    kept, kept_owner = [corners[count == 3]], [owner[count == 3]]
    for n in (1, 2):
        rows = np.flatnonzero(count == n)
        # Turn each so that corner 0 is alone on its side of the plane.
        alone = np.argmax(inside[rows] == (n == 1), axis=1)
        turn = (alone[:, None] + np.arange(3)) % 3
        p, d = corners[rows[:, None], turn], distance[rows[:, None], turn]
        t = d[:, :1] / (d[:, :1] - d[:, 1:])  # where edges 0-1 and 0-2 meet the plane
        q = p[:, :1] + t[..., None] * (p[:, 1:] - p[:, :1])
        if n == 1:
            pieces = [np.stack([p[:, 0], q[:, 0], q[:, 1]], axis=1)]
        else:
            pieces = [
                np.stack([q[:, 0], p[:, 1], p[:, 2]], axis=1),
                np.stack([q[:, 0], p[:, 2], q[:, 1]], axis=1),
            ]
        kept += pieces
        kept_owner += [owner[rows]] * len(pieces)
    return np.concatenate(kept), np.concatenate(kept_owner)
